// Package policy decides who may do what: access control lists, bucket
// policies, the public access block and object ownership, as the Amazon S3
// user guide describes them. It is pure: it opens nothing, and knows no clock
// and no HTTP but what it is told.
//
// [Evaluator] is the one entry. In this order, the first that applies decides:
//
//  1. A master key may do everything.
//  2. A Deny statement of the bucket policy refuses every principal; only the
//     bucket's owner may always get, put and delete the policy.
//  3. The bucket's owner may do everything, but read an object, or touch the
//     ACL of one, that another tenant owns.
//  4. An Allow statement of the bucket policy allows, but for such objects of
//     others, and, under RestrictPublicBuckets, for a public policy.
//  5. ACLs allow what they grant, unless object ownership disables them.
//  6. Everything else is refused.
//
// Where ownership is BucketOwnerEnforced, every object is the bucket owner's.
// An object's facts are loaded only when one of these steps asks for them.
//
// # Bucket policies
//
// [Parse] reads a document and refuses, with its position, all that it would
// not honour: unknown fields, operators, condition keys and actions, and
// principals of kinds that do not exist here (roles, federated users).
// [Policy.Validate] holds it to its bucket.
//
// # Condition keys
//
// [Keys] is the table of the condition keys that requests carry, with their
// types and the actions that carry them. Validation and evaluation read it: a
// policy cannot name other keys, and a request's [Context] counts only as far
// as the table says. The keys of the principal, the bucket's owner, the time
// and s3:ExistingObjectTag/ are known to the [Evaluator]; all others are what
// contexts hold.
//
// What cannot be decided is decided against the requester: [ParseStored] says
// what that means for policies that were stored before Parse refused them.
//
// # Cost
//
// The policy is one tenant's text, the request another's, and both are as bad
// as they can be. Reading a policy takes time linear in its text, of at most
// 20 KB. A comparison takes time linear in the pattern and in what it is
// compared with (see glob for the one exception), and variables are put in no
// further than the text is long. What does not depend on the key is decided
// once in a request, however many keys it names. Nothing here may backtrack, keep sets of
// states, or spell out a path for every node.
package policy
