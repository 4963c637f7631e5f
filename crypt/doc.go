// Package crypt keeps the master keys and encrypts what is stored: the bodies
// of objects, so that any range of them can be read, and small secrets.
//
// # Keys
//
// A [Ring] holds the master keys. Its first key is active: it wraps new data keys.
// The others unwrap older data keys, and are the named keys that SSE-KMS requests
// can choose. A master key never encrypts a body: [Ring.NewDataKey] makes a random
// [DataKey] and wraps it, and the caller stores the wrapped form.
//
//	ring, err := crypt.NewRing(keys...) // from LoadKeyFile or ParseMasterKey
//	key, wrapped, id, err := ring.NewDataKey("", context)
//	key, err = ring.Unwrap(id, wrapped, context)
//
// The context identifies the use of a wrapped key; it is authenticated, not stored.
// SSE-C uses no master key: see [CustomerKey].
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
// To read a range, only the frames that contain it are read, and no byte is returned
// before its frame has been authenticated. Reading a range does not detect a change
// outside its frames. The segments of a body and their order are in the metadata,
// which this package does not authenticate.
//
// # Wrapped keys and sealed secrets
//
//	0x01 || salt (24 bytes) || AES-256-GCM(HKDF-SHA-256(master key, salt, purpose), nonce = 0, context)
//
// The derived key is used once, so the number of wrapped keys is not limited in
// practice. The purpose separates data keys from secrets.
//
// Types that hold a key print as "[redacted]", with every verb and encoder.
package crypt
