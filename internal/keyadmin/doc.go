// Package keyadmin manages access keys and reads the files of master keys.
//
//   - [Admin] creates, lists, revokes and rewraps the access keys of a metadata
//     store. Their secrets are stored encrypted by the master key ring.
//   - [Keys] looks keys up for package s3api: first those of the configuration,
//     then those of the store, which it caches for five seconds.
//   - [FirstKey] is the key that the embedded engine generates at its first start.
//   - [ConfiguredRing] and [DirectoryRing] read the master keys.
//
// 'pithos key' uses a [Keyring]: an Admin in the same process, or the one of the
// process that has the embedded engine open (package control).
package keyadmin
