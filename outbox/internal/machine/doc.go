// Package machine tells machines apart.
package machine
