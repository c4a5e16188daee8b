// Command cobra is an empty cobra program that knows its version: the floor of a command line.
package main

import "github.com/ArcadeAI/arcade-cli/.ci/bench/rival"

func main() { rival.Run(func(string) error { return nil }) }
