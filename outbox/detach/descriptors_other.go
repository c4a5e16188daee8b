//go:build unix && !linux

package detach

import "errors"

func keepAll() error { return errors.ErrUnsupported }
