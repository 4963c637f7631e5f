package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// firstFD is the first file descriptor that systemd hands over: see
// sd_listen_fds(3).
const firstFD = 3

// activated returns the listeners that systemd (or another parent) hands
// over: that of S3, and the operators' one, whose name in the unit of the
// socket is FileDescriptorName=admin. nil for none.
func activated(getenv func(string) string) (public, admin net.Listener, err error) {
	count := getenv("LISTEN_FDS")
	if count == "" || getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return nil, nil, nil
	}
	n, err := strconv.ParseUint(count, 10, 8)
	if err != nil {
		return nil, nil, fmt.Errorf("socket activation: LISTEN_FDS is %q: want a number", count)
	}
	names := strings.Split(getenv("LISTEN_FDNAMES"), ":")
	for i := range int(n) {
		f := os.NewFile(uintptr(firstFD+i), fmt.Sprintf("socket %d", i))
		l, err := net.FileListener(f)
		if err != nil {
			return nil, nil, fmt.Errorf("socket activation: descriptor %d is no socket that listens: %w", firstFD+i, err)
		}
		_ = f.Close() // the listener has its own copy
		into := &public
		if i < len(names) && names[i] == "admin" {
			into = &admin
		}
		if *into != nil {
			return nil, nil, fmt.Errorf("socket activation: %d sockets were handed over; pithos takes one for S3, and one named admin (FileDescriptorName=admin)", n)
		}
		*into = l
	}
	return public, admin, nil
}

// systemd tells the service manager how things stand, if there is one: see
// sd_notify(3). If nothing listens there, serving continues.
func systemd(state string) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	if strings.HasPrefix(path, "@") {
		path = "\x00" + path[1:] // Linux's abstract namespace
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return
	}
	_, _ = c.Write([]byte(state))
	_ = c.Close()
}

// inJournal tells whether what is written to out ends in systemd's journal,
// whose stream systemd names by device and inode: see $JOURNAL_STREAM in
// systemd.exec(5).
func inJournal(out io.Writer, stream string) bool {
	f, ok := out.(*os.File)
	if !ok || stream == "" {
		return false
	}
	info, err := f.Stat()
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stream == fmt.Sprintf("%d:%d", stat.Dev, stat.Ino)
}
