// Package secrets manages the tool secrets that Arcade's Engine keeps: it finds the Engine
// ([BaseURL]), asks it ([Client]), and reads a user's KEY=VALUE arguments ([ParsePairs]) and
// .env files ([ReadEnvFiles]).
//
// A secret's value goes to the Engine and nowhere else. No error of this package contains
// a value, a token, the content of a file or a server's words: a server may echo what it
// was sent.
package secrets
