package cli

import "testing"

// A stack trace says in which functions, and nothing of their arguments.
func TestABugNamesItsFunctions(t *testing.T) {
	const stack = "goroutine 1 [running]:\nmain.(*app).execute.func1()\n\t/src/app.go:99 +0x33\npanic({0xcff0e0?, 0xe394d0?})\n" +
		"main.run({0xc0000, 0x1}, 0x5)\n\t/src/app.go:12\n"
	if got, want := frames([]byte(stack)), "main.(*app).execute.func1\n\t/src/app.go:99 +0x33\nmain.run\n\t/src/app.go:12"; got != want {
		t.Errorf("the frames are\n%s\nwant\n%s", got, want)
	}
}
