// Command empty is the least a Go program can be: the floor of every start-up time.
package main

func main() {}
