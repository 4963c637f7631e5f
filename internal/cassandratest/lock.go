//go:build unix

package cassandratest

import (
	"errors"
	"os"
	"syscall"
)

// A fileLock is an advisory lock that the kernel drops when its holder ends,
// however it ends. It is closed to release it.
type fileLock struct{ f *os.File }

// errLocked says that another process holds the lock.
var errLocked = errors.New("locked")

// lockFile takes the lock that the named file stands for; how is LOCK_SH or
// LOCK_EX, with LOCK_NB to get errLocked instead of waiting.
func lockFile(name string, how int) (*fileLock, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err == nil {
		return &fileLock{f}, nil
	}
	f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = errLocked
	}
	return nil, &os.PathError{Op: "flock", Path: name, Err: err}
}

// unlock releases the lock.
func (l *fileLock) unlock() { l.f.Close() }
