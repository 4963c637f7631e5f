// Package config is the whole configuration of Pithos: one documented struct,
// its defaults, and how a file and the environment fill it.
//
// The file is YAML and keeps the shape that Pithos has had since 2013: service,
// logging, options, keystore, bucketstore and regions. A file from those days
// loads; keys that mean nothing any more are named in [Config.Warnings], and
// keys whose loss would change what a user gets are refused.
//
//	cfg, err := config.Load(path, explicit, os.Getenv)
//
// Every key stands exactly once, as a struct tag in config.go: its name,
// default, bounds, environment variable and meaning. The decoder, the hints in
// error messages and [Reference] all read these tags, so they cannot disagree.
//
// The tags:
//
//	key      name in the file; ",inline" lends a struct's keys to its parent
//	default  YAML text, decoded like a value of the file
//	doc      meaning, one sentence or two, Markdown
//	env      environment variable that wins over the file
//	enum     allowed values, separated by |; case is ignored
//	min,max  bounds, written like a value
//	short    this field takes the value where a scalar stands for the struct
//
// and, on blank fields, for keys of former versions:
//
//	moved    the key's name today, relative to the same section
//	ignored  accepted with a warning that says why it has no effect
//	refused  an error that says what to do instead
//	classes  accepted only with one of these values (the old `use:` classes)
package config
