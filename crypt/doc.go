// Package crypt keeps the master keys and encrypts what is stored: the bodies
// of objects, so that any range of them can be read, and small secrets.
//
// # Keys
//
// A [Ring] holds the master keys. Its first key is active: it wraps what is
// new. The others unwrap what is old, and are the named keys that SSE-KMS asks
// for. A master key never encrypts a body: [Ring.NewDataKey] makes a random
// [DataKey] and wraps it, and the wrapped form is what is stored.
//
//	ring, err := crypt.NewRing(keys...) // from LoadKeyFile or ParseMasterKey
//	key, wrapped, id, err := ring.NewDataKey("", context)
//	key, err = ring.Unwrap(id, wrapped, context)
//
// The context says what a wrapped key is for; it is authenticated, not stored.
// With SSE-C there is no master key: see [CustomerKey].
//
// # Bodies
//
// A body is cut into segments (one blob each), and a segment into frames of
// [FrameBytes] of plaintext, each followed by its 16-byte tag:
//
//	segment key = HKDF-SHA-256(data key, salt, "pithos body v1 frame <frame size>")
//	frame i     = AES-256-GCM(segment key, nonce = i as 11 bytes big endian || last)
//
// where last is 1 in the segment's last frame and 0 in the others. An empty
// segment is one empty frame. This is the STREAM construction (Hoang,
// Reyhanitabar, Rogaway, Vizár 2015): frames that were changed, reordered,
// dropped, repeated or taken from another segment do not authenticate. The
// salt is random for each segment, so one data key may serve many segments.
//
// A range is read from the frames that hold it alone, and no byte is returned
// before its frame has been authenticated. What a range cannot notice is a
// change outside its frames; and which segments make a body, in which order,
// is for the metadata to say.
//
// # Wrapped keys and sealed secrets
//
//	0x01 || salt (24 bytes) || AES-256-GCM(HKDF-SHA-256(master key, salt, purpose), nonce = 0, context)
//
// The key is used once, so that the number of wrapped keys has no bound that
// matters. The purpose keeps data keys and secrets apart.
//
// Types that hold a key print as "[redacted]", whatever prints them.
package crypt
