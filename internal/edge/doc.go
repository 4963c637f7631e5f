// Package edge is what stands between net/http and package s3api: the bounds on
// connections, requests, memory and time, and the health of the server.
//
// A request passes, in this order:
//
//	httpconn (framing) → health → recorder → trusted proxies → admission → pace of bodies → is the backend open? → s3api
//
// A request is admitted in two steps. In the first, when nothing is known of the
// request, it gets a slot and a small constant amount of memory, and a total time
// for what is read of its body. The second comes when s3api has authorized the
// request: s3api asks for what the request needs by s3api.Options.Admit. Only then memory
// is granted for the length that the client declares, and the total time becomes
// a minimum speed. admission.go has both steps, pool.go the shares of addresses,
// networks and tenants, stall.go the pace of bodies.
//
// A [Server] answers from the moment it is created. Until [Server.Use] has given
// it a [Backend], it answers /-/ready, and every request for S3 that it does
// not refuse itself, with 503 and Retry-After. So it can
// listen before its database answers.
package edge
