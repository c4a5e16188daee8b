package outboxtest_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

func TestFaultsAreWrittenAndRead(t *testing.T) {
	for text, want := range map[string]outboxtest.Fault{
		"ok":                      {},
		"hang":                    {Mode: "hang"},
		"commit+hang":             {Mode: "hang", Commit: true},
		"503":                     {Mode: "503"},
		"418":                     {Mode: "418"},
		"429:retry-after=3":       {Mode: "429", Arg: "retry-after=3"},
		"429:retry-after=date+5s": {Mode: "429", Arg: "retry-after=date+5s"},
		"429:retry-after=a=b:c":   {Mode: "429", Arg: "retry-after=a=b:c"},
		"commit+307":              {Mode: "307", Commit: true},
		"drip:every=10ms":         {Mode: "drip", Arg: "every=10ms"},
	} {
		got, err := outboxtest.ParseFault(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("ParseFault(%q) = %+v, %v, written again %q; want %+v", text, got, err, got, want)
		}
	}
}

func TestWrongFaultsAreRefusedWithTheReason(t *testing.T) {
	for text, reason := range map[string]string{
		"":                         "no mode",
		"hung":                     "no mode",
		"commit+":                  "no mode",
		"commit+ok":                "no mode",
		"200":                      "no mode", // would be health under another name
		"600":                      "no mode",
		"0503":                     "no mode",
		"503:":                     "behind the colon",
		"503:retry-after":          "no argument",
		"503:retry-after=":         "no argument",
		"503:to=self":              "no argument",
		"hang:every=1s":            "no argument",
		"202:retry-after=3":        "no argument",
		"503:retry-after=1\r\nX:1": "no argument",
		"503:retry-after=date+5":   "no date",
		"drip:every=often":         "no duration",
		"drip:every=-1s":           "no duration",
		"commit+reset-in-body":     "not read",
		"commit+page-400":          "not read",
	} {
		if f, err := outboxtest.ParseFault(text); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("ParseFault(%q) = %v, %v; want an error that says %q", text, f, err, reason)
		}
	}
}

func TestTheListOfFaultsHasEveryModeOnceWithAndWithoutCommit(t *testing.T) {
	all := outboxtest.AllFaults()
	seen := map[outboxtest.Fault]bool{}
	modes := map[string]bool{}
	for _, f := range all {
		if again, err := outboxtest.ParseFault(f.String()); err != nil || again != f {
			t.Errorf("%v is listed, but read again it is %v, %v", f, again, err)
		}
		if seen[f] {
			t.Errorf("%v is listed twice", f)
		}
		seen[f], modes[f.Mode] = true, true
	}
	for f := range seen {
		f.Commit = !f.Commit
		if !seen[f] && !strings.HasPrefix(f.Mode, "page-") && f.Mode != "reset-in-body" {
			t.Errorf("%v is not listed, but its counterpart is", f)
		}
	}
	for mode := range modes {
		if !strings.Contains(outboxtest.FaultHelp(), mode) {
			t.Errorf("the help does not mention %s", mode)
		}
	}
}

func TestTheHelpFitsATerminal(t *testing.T) {
	for line := range strings.Lines(outboxtest.FaultHelp()) {
		if len(strings.TrimRight(line, "\n")) > 80 {
			t.Errorf("%d columns, the terminal has 80: %q", len(line)-1, line)
		}
	}
}

func TestScriptsAreReadFlagByFlag(t *testing.T) {
	var s outboxtest.Script
	for _, word := range []string{"2x503", "1xcommit+hang", "1xok", "portal"} {
		if err := s.Set(word); err != nil {
			t.Fatalf("Set(%q): %v", word, err)
		}
	}
	f := outboxtest.MustFault
	if want := []outboxtest.Fault{f("503"), f("503"), f("commit+hang"), {}}; !slices.Equal(s.Once, want) || s.Then != f("portal") {
		t.Errorf("the script is %+v, want %v and then portal", s, want)
	}
	if got := s.String(); got != "2x503 1xcommit+hang 1xok portal" {
		t.Errorf("written again it is %q", got)
	}
	if err := s.Set("503"); err == nil || !strings.Contains(err.Error(), "never reached") {
		t.Errorf("a fault after one for good gave %v; it can never be reached and has to be refused", err)
	}
	if got := new(outboxtest.Script).String(); got != "ok" {
		t.Errorf("the empty script is written %q, want ok", got)
	}
}

func TestWrongScriptsAreRefused(t *testing.T) {
	for _, word := range []string{"0x503", "-1x503", "100001x503", "3x", "3xhung", "x503", "3x3x503", "hung"} {
		var s outboxtest.Script
		if err := s.Set(word); err == nil || len(s.Once) != 0 || s.Then != (outboxtest.Fault{}) {
			t.Errorf("Set(%q) = %v and left %q, want an error and nothing added", word, err, s.String())
		}
	}
}

func TestAFaultThatDoesNotExistPanicsWhereItIsSet(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("SetFaults accepted a fault that does not exist; the test that uses it would test nothing")
		}
	}()
	outboxtest.New().SetFaults(outboxtest.Fault{Mode: "hung"})
}

func FuzzParseFault(f *testing.F) {
	for _, fault := range outboxtest.AllFaults() {
		f.Add(fault.String())
	}
	for _, seed := range []string{"ok", "", "commit+", "503:", ":", "429:retry-after=date", "drip:every=1h=", "3x503"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		fault, err := outboxtest.ParseFault(text)
		if err != nil {
			return
		}
		if fault.String() != text {
			t.Errorf("%q is read as a fault that is written %q", text, fault)
		}
	})
}

func FuzzScript(f *testing.F) {
	for _, seed := range []string{"3x503", "503", "1xcommit+429:retry-after=3", "xx", "9999999999999999999x503", "+3x503"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, word string) {
		var s, again outboxtest.Script
		if s.Set(word) != nil {
			return
		}
		if err := again.Set(s.String()); err != nil || again.Then != s.Then || !slices.Equal(again.Once, s.Once) {
			t.Errorf("%q is written again as %q, and that is read as %+v, %v", word, s.String(), again, err)
		}
	})
}
