// Package httpconn follows the framing of HTTP/1 below net/http, for what that
// neither does nor leaves to its handlers:
//
//  1. A request with both Transfer-Encoding and Content-Length is refused, and
//     its connection ends (RFC 9112, section 6.3): a proxy may have taken it for
//     two. net/http serves it, and does not show that there were both. A
//     transfer coding in HTTP/1.0 is refused alike.
//  2. One empty line before a request is skipped (RFC 9112, section 2.2).
//  3. A header section is kept as raw bytes until it is complete: net/http makes
//     a map of it line by line, of many times its size, while a client takes its
//     time.
//
// Nothing else is changed: where a message is malformed, net/http gets to see it
// and refuses it, and nothing after it is let through. TLS is ended here, since
// the framing is inside it; connections of HTTP/2 are handed on as they are.
package httpconn
