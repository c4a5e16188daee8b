// Package secrets manages the tool secrets that Arcade's Engine keeps: where the Engine is
// ([BaseURL]), how it is asked ([Client]), and how a user's KEY=VALUE arguments
// ([ParsePairs]) and .env files ([ReadEnvFiles]) are read.
//
// A secret's value goes to the Engine and nowhere else. No error of this package contains
// a value, a token, the content of a file or a word that a server said: a server may echo
// what it was sent.
package secrets
