package config

import "time"

// DefaultPath is the file that is read when neither the command line nor
// PITHOS_CONFIGURATION names one. It need not exist.
const DefaultPath = "/etc/pithos/pithos.yaml"

// StandardClass is the storage class of every object whose upload names none.
const StandardClass = "standard"

// RootTenant owns what the root key of the environment makes, unless the file
// gives that access key another tenant.
const RootTenant = "root"

// Config is the configuration, complete and checked, as [Load] returns it.
type Config struct {
	Service     Service           `key:"service" doc:"Where and how Pithos listens."`
	Logging     Logging           `key:"logging" doc:"What is logged, and where to."`
	Options     Options           `key:"options" doc:"How S3 is spoken."`
	Keystore    Keystore          `key:"keystore" doc:"The access keys that the file itself holds. Further keys are made with 'pithos key create'."`
	Encryption  Encryption        `key:"encryption" doc:"Encryption of objects at rest."`
	GC          GC                `key:"gc" doc:"Removal of the bytes that nothing refers to any more."`
	Admin       Admin             `key:"admin" doc:"A second port, for operators: metrics, profiles, log level, reload. It has no authentication, so let it listen only where operators alone can reach it. See monitoring.md."`
	Metrics     Metrics           `key:"metrics" doc:"What the metrics tell apart. They are read at 'admin.listen', under '/metrics'."`
	Tracing     Tracing           `key:"tracing" doc:"Traces of requests, sent to a collector of OpenTelemetry (OTLP over HTTP)."`
	Embedded    Embedded          `key:"embedded" doc:"The engine that runs where no Cassandra is named."`
	Bucketstore Bucketstore       `key:"bucketstore" doc:"The Cassandra cluster with what all regions share: buckets and keys. Naming a 'cluster' here chooses the Cassandra engine; regions inherit these settings."`
	Regions     map[string]Region `key:"regions" name:"region" doc:"Regions by name: those that a bucket's location constraint may name. A bucket's objects stay in the region that it was made in, and in no other; so a region may neither be renamed nor be given another metastore while it has buckets. Where there are none, the default region exists and takes all its settings from 'bucketstore'; then a location constraint may name any region: the bucket lies in the default region and shows the one that was named, unless 'options.enforce-region' is set."`

	_ struct{} `key:"reporters" ignored:"events are written to the log; there are no reporters to configure"`
	_ struct{} `key:"sentry" ignored:"errors are written to the log; Sentry is not spoken"`
	_ struct{} `key:"cassandra" ignored:"Pithos no longer starts a Cassandra inside itself; configure that server in its own cassandra.yaml"`

	// AnyLocation says that no regions are configured: Regions has the default
	// region alone, and a location constraint may name any.
	AnyLocation bool
	// Source is the file that was read, or empty where there was none.
	Source string
	// Warnings are sentences for the operator about keys without effect, with
	// file and line. They hold no secrets.
	Warnings []string
	// SecretsInFile says that the file has secrets in it, whatever the
	// environment adds.
	SecretsInFile bool
}

// Service is the listener.
type Service struct {
	Host            string        `key:"host" default:"127.0.0.1" doc:"Address to listen on; '0.0.0.0' or '::' for every interface. Environment: PITHOS_LISTEN as host:port."`
	Port            int           `key:"port" default:"8080" min:"0" max:"65535" doc:"TCP port; 0 lets the system choose one."`
	TLS             ServiceTLS    `key:"tls" doc:"HTTPS. Without a certificate Pithos speaks plain HTTP."`
	MaxBody         Size          `key:"max-body" default:"5G" min:"1" max:"5T" doc:"Largest body of one request. S3 allows 5 GiB; larger objects come in parts."`
	MaxHeader       Size          `key:"max-header" default:"64k" min:"8k" max:"1M" doc:"Largest request line and headers together."`
	MaxRequests     int           `key:"max-requests" default:"1024" min:"1" max:"1000000" doc:"Requests served at a time; more are answered 503 SlowDown. Fewer are while Cassandra does not answer."`
	MaxMemory       Size          `key:"max-memory" default:"0" min:"0" max:"1T" doc:"Memory that the bodies of running requests may take, 5 MiB each at most, and 16M at least; requests beyond it are answered 503 SlowDown. 0: 'GOMEMLIMIT' less the 160 MiB that Pithos takes itself; else 90 % of the memory limit of the container (or unit) less 160 MiB; without any limit '512M'."`
	TrustedProxies  []string      `key:"trusted-proxies" env:"PITHOS_TRUSTED_PROXIES" doc:"Addresses of reverse proxies, as CIDRs (10.0.0.0/8) or single addresses, whose headers on the client's address and on HTTPS are trusted. See 'forwarded-header'. Left out: none, and the connection counts."`
	ForwardedHeader string        `key:"forwarded-header" default:"x-forwarded-for" enum:"x-forwarded-for|forwarded" doc:"The header in which trusted proxies write the address that they were contacted from: 'x-forwarded-for', together with X-Forwarded-Proto, or 'forwarded' (RFC 7239). The other one is not read: a proxy passes it on as the client has sent it. Each proxy must write both the address and the protocol."`
	HeaderTimeout   time.Duration `key:"header-timeout" default:"10s" min:"1s" max:"10m" doc:"Time a client has for the headers of a request."`
	IdleTimeout     time.Duration `key:"idle-timeout" default:"2m" min:"1s" max:"24h" doc:"Time a connection may wait for its next request."`
	StallTimeout    time.Duration `key:"stall-timeout" default:"1m" min:"1s" max:"24h" doc:"Time a client may stop sending or taking a body before its connection is closed. It must be at 1 KiB/s on average over any longer time, in either direction."`
	ShutdownTimeout time.Duration `key:"shutdown-timeout" default:"30s" min:"0s" max:"1h" doc:"Time that running requests have to finish when Pithos is told to stop."`
	DrainDelay      time.Duration `key:"drain-delay" default:"0s" min:"0s" max:"10m" doc:"Time from the moment that '/-/ready' says that Pithos stops until its port closes: as long as load balancers need to notice. Requests are served meanwhile."`
	ReloadInterval  time.Duration `key:"reload-interval" default:"10s" min:"0s" max:"24h" doc:"How often the files of configuration and certificate are looked at: a change of keys ('keystore.keys'), certificate or log level takes effect without a restart. '0s' leaves it to the signal SIGHUP."`

	_ struct{} `key:"ip" moved:"host"`
	_ struct{} `key:"use" refused:"services are not loaded by class name; remove this line"`
}

// ServiceTLS is the certificate of the listener.
type ServiceTLS struct {
	Certificate string `key:"certificate" doc:"PEM file with the certificate and its chain."`
	Key         string `key:"key" doc:"PEM file with the private key."`
	MinVersion  string `key:"min-version" default:"1.2" enum:"1.2|1.3" doc:"Oldest TLS version spoken."`
}

// Enabled says whether the listener speaks HTTPS.
func (t ServiceTLS) Enabled() bool { return t.Certificate != "" }

// Logging is what the logger is built from.
type Logging struct {
	Level   string    `key:"level" default:"info" enum:"debug|info|warn|error|fatal|off|trace|all" doc:"Least level that is logged. 'trace' and 'all' are other words for 'debug'; 'off' logs nothing."`
	Console bool      `key:"console" default:"true" doc:"Log to standard error."`
	JSON    bool      `key:"json" default:"false" doc:"One JSON object a line on the console, for machines."`
	Files   []LogFile `key:"files" doc:"Files to append to: a path, or a map with 'path' and 'json'."`

	_ struct{} `key:"use" classes:"org.spootnik.logconfig/start-logging!|io.pithos.logging/start-logging" refused:"loggers are not loaded by class name; remove this line"`
	_ struct{} `key:"pattern" ignored:"the layout of log lines is fixed; set 'json: true' for lines that machines read"`
	_ struct{} `key:"overrides" ignored:"levels are not set by Java package; set 'level'"`
	_ struct{} `key:"external" ignored:"there is no logback to leave the log to"`
}

// LogFile is one file of [Logging.Files].
type LogFile struct {
	Path string `key:"path" short:"yes" doc:"Path of the file."`
	JSON bool   `key:"json" default:"false" doc:"One JSON object a line."`
}

// Options is how S3 is spoken.
type Options struct {
	ServiceURI      []string      `key:"service-uri" default:"[s3.amazonaws.com, localhost]" env:"PITHOS_SERVICE_URI" doc:"Host names of the service. A request to '<bucket>.<service-uri>' is for that bucket; every other host name is path style."`
	DefaultRegion   string        `key:"default-region" env:"PITHOS_REGION" doc:"Region of a bucket whose creation names none. Left out: that of 'bucketstore', else the only region there is, else us-east-1. A configuration that grows from one region to several keeps the first one as its default: objects written before are looked for there."`
	EnforceRegion   bool          `key:"enforce-region" default:"false" doc:"Refuse signatures (version 4) that were made for a region which is not configured here. Otherwise any region is accepted."`
	SignatureV2     bool          `key:"signature-v2" default:"true" doc:"Accept signature version 2, which old clients speak."`
	ClockSkew       time.Duration `key:"clock-skew" default:"15m" min:"1s" max:"24h" doc:"How far a request's date may be from this machine's clock."`
	MasterkeyAccess bool          `key:"masterkey-access" default:"true" doc:"Whether a key with 'master: true' may reach the buckets of every tenant."`
	ObjectOwnership string        `key:"object-ownership" default:"ObjectWriter" enum:"BucketOwnerEnforced|BucketOwnerPreferred|ObjectWriter" doc:"Object ownership of a bucket whose creation names none (the header x-amz-object-ownership wins). 'BucketOwnerEnforced', which is what AWS sets, switches ACLs off: the bucket's owner owns every object, and policies alone let others in. With 'ObjectWriter' ACLs count, as old clients expect. The setting is written into each new bucket: buckets that exist keep what they have, and one that has none, or whose ownership controls were deleted, is 'ObjectWriter'."`
	Buckets         []string      `key:"buckets" env:"PITHOS_BUCKETS" doc:"Buckets that are made at start for the root key, where they do not exist."`

	_ struct{} `key:"server-side-encryption" classes:"true" refused:"encryption cannot be switched off: it happens when a request or a bucket asks for it; remove this line"`
	_ struct{} `key:"multipart-upload" classes:"true" refused:"multipart uploads cannot be switched off; remove this line"`
	_ struct{} `key:"reporting" ignored:"every request is in the log; there is no reporting to switch"`
	_ struct{} `key:"masterkey-provisioning" ignored:"keys are made with 'pithos key create'"`
	_ struct{} `key:"default-cors" refused:"a bucket's CORS rules are its own; put them there with PutBucketCors and remove this key"`
	_ struct{} `key:"chunksize" ignored:"chunks are sized by 'max-chunk' of a storage class"`
	_ struct{} `key:"maxsize" ignored:"the largest body is 'max-body' of 'service'"`
	_ struct{} `key:"server-name" ignored:"host names are given by 'service-uri'"`
}

// Keystore holds the access keys of the file and the root key.
type Keystore struct {
	Keys map[string]Key `key:"keys" name:"ACCESS KEY" doc:"Keys by access key id. PITHOS_ACCESS_KEY and PITHOS_SECRET_KEY together add a master key, or give a key of the file another secret."`

	// Root is the access key id of the environment's root key, or empty. The
	// key itself is in Keys.
	Root string

	_ struct{} `key:"use" classes:"io.pithos.keystore/map-keystore|io.pithos.keystore/map->MapKeystore" refused:"keystores are not loaded by class name; list the keys under 'keys', or make them with 'pithos key create', and remove this line"`
}

// Key is one access key of the file.
type Key struct {
	Tenant   string   `key:"tenant" doc:"Who the key speaks for: the owner of its buckets. Required."`
	Secret   Secret   `key:"secret" doc:"The secret access key. Required."`
	Master   bool     `key:"master" default:"false" doc:"An operator's key; see 'options.masterkey-access'."`
	MemberOf []string `key:"memberof" doc:"Groups of the tenant, which ACLs can name."`
}

// Encryption is where keys for encryption at rest come from.
type Encryption struct {
	MasterKeyFile     string            `key:"master-key-file" doc:"File with the master keys: one a line, an optional name and the base64 of 32 bytes, the first one active (or 32 raw bytes alone). Names are the key ids of SSE-KMS; the key named 'aws/s3', or the only key, serves requests that name none. Without a key, requests that ask for encryption are refused; only the embedded engine makes one at its first start."`
	MasterKey         Secret            `env:"PITHOS_MASTER_KEY" doc:"The master key itself, base64 of 32 bytes. Only from the environment, and before 'master-key-file'."`
	Keys              map[string]KeyUse `key:"keys" name:"MASTER KEY" doc:"Who may name which master key with aws:kms, by the key's id. A key that is not listed may be named by every tenant."`
	SSECOverPlainHTTP string            `key:"ssec-over-plain-http" default:"refuse" enum:"refuse|allow" doc:"What becomes of a request that brings its own key (SSE-C) over plain HTTP. 'allow' only where a proxy before Pithos speaks TLS."`
}

// KeyUse says who may use a master key.
type KeyUse struct {
	Tenants []string `key:"tenants" doc:"The tenants that may name the key in a request or for a bucket. Keys with 'master: true' always may. Without any, no other key may. Reading what was encrypted needs only permission for the object."`
}

// GC is the garbage collector's settings.
type GC struct {
	Grace time.Duration `key:"grace" default:"1h" min:"1m" max:"720h" doc:"Age before unreferenced bytes may be removed. Longer than any pause of a machine or client."`
}

// Admin is the port for operators.
type Admin struct {
	Listen string   `key:"listen" env:"PITHOS_ADMIN_LISTEN" doc:"Address as 'host:port', such as '127.0.0.1:9100'; port 0 lets the system choose one. Left out: there is no such port."`
	Hosts  []string `key:"hosts" doc:"Further host names by which that port is reached. Requests to other names are refused, so that web pages cannot reach it by DNS rebinding; addresses, names without a dot and the one in 'listen' are known."`
}

// Metrics bounds what is told apart.
type Metrics struct {
	Buckets    int `key:"buckets" default:"100" min:"0" max:"100000" doc:"Buckets that have figures of their own: the first ones that are asked for. All others are counted as 'other'."`
	AccessKeys int `key:"access-keys" default:"0" min:"0" max:"100000" doc:"Access keys that have figures of their own. None unless asked for: their ids would be in the metrics."`
}

// Tracing is where traces go.
type Tracing struct {
	Endpoint    string `key:"endpoint" doc:"URL of the collector, such as 'http://127.0.0.1:4318'. Left out: that of the environment, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT or OTEL_EXPORTER_OTLP_ENDPOINT; without any no trace is made. OpenTelemetry's other variables (headers, certificates, compression, OTEL_TRACES_SAMPLER, OTEL_RESOURCE_ATTRIBUTES) hold too."`
	SampleEvery int    `key:"sample-every" default:"1" min:"1" max:"1000000" doc:"Of so many requests one is traced. A request that brings a trace of its own (traceparent) is traced if that is."`
}

// Embedded is the embedded engine's settings.
type Embedded struct {
	Directory string `key:"directory" default:"./pithos-data" env:"PITHOS_DATA" doc:"Directory for everything: metadata, objects, keys. One process at a time. Relative to the working directory."`
	Pod       string `env:"PITHOS_POD" doc:"Name of the pod of a StatefulSet that this process is in. In any but the first one, whose name ends in -0, the embedded engine refuses to serve: the volume of another replica is another store. Only from the environment."`
}

// Bucketstore is the cluster with what all regions share.
type Bucketstore struct {
	Cassandra     `key:",inline"`
	DefaultRegion string `key:"default-region" doc:"Another place for 'options.default-region'."`

	_ struct{} `key:"use" classes:"io.pithos.bucket/cassandra-bucket-store" refused:"stores are not loaded by class name; remove this line"`
}

// Region is one region: where its metadata and its storage classes live.
type Region struct {
	Metastore      Metastore               `key:"metastore" doc:"The Cassandra cluster with the region's metadata. What is left out is taken from 'bucketstore'; 'tls' and 'replication' as a whole, 'username' and 'password' together."`
	StorageClasses map[string]StorageClass `key:"storage-classes" name:"class" doc:"Storage classes by name. 'standard' must be among them, or none at all: then it exists by itself. Cassandra settings that are left out are taken from the metastore."`
}

// Metastore is the cluster with a region's metadata.
type Metastore struct {
	Cassandra `key:",inline" same:"bucketstore"`
	ShardRows int `key:"shard-rows" default:"50000" min:"1000" max:"1000000" doc:"Rows of a bucket's listing in one partition; about this many, then it is split. Fewer make smaller partitions and more of them."`

	_ struct{} `key:"use" classes:"io.pithos.store/cassandra-store|io.pithos.meta/cassandra-meta-store" refused:"stores are not loaded by class name; remove this line"`
}

// StorageClass is one blob store of a region.
type StorageClass struct {
	Type           string `key:"type" enum:"cassandra|file" doc:"Where the bytes go: 'cassandra', or 'file', a directory. Left out: what the engine uses."`
	Directory      string `key:"directory" doc:"Directory of a class of type 'file'. On Cassandra every gateway must see the same one. Left out on the embedded engine: inside its own directory."`
	MaxChunk       Size   `key:"max-chunk" default:"512k" min:"4k" max:"8M" doc:"Size of a chunk, the unit of reading and writing."`
	MaxBlockChunks int    `key:"max-block-chunks" default:"64" min:"1" max:"65536" doc:"Chunks in a block, which is one partition in Cassandra."`
	Cassandra      `key:",inline" same:"bucketstore"`

	_ struct{} `key:"max-block-chunk" moved:"max-block-chunks"`
	_ struct{} `key:"use" classes:"io.pithos.store/cassandra-store|io.pithos.blob/cassandra-blob-store" refused:"stores are not loaded by class name; set 'type' and remove this line"`
}

// Cassandra is one keyspace of one cluster, and how it is reached.
type Cassandra struct {
	Cluster           []Host        `key:"cluster" env:"PITHOS_CASSANDRA_HOST" doc:"Contact points: a host name or address, optionally with ':port', a list of them, or of maps with 'host' and 'port'. A name stands for all its addresses."`
	Port              int           `key:"port" default:"9042" min:"1" max:"65535" doc:"Port of the contact points that name none."`
	Keyspace          string        `key:"keyspace" default:"pithos" doc:"Keyspace. Stores may share one or have one each; 'pithos bootstrap' makes it."`
	Username          string        `key:"username" env:"PITHOS_CASSANDRA_USERNAME" doc:"User name for password authentication."`
	Password          Secret        `key:"password" env:"PITHOS_CASSANDRA_PASSWORD" doc:"Password for it."`
	Datacenter        string        `key:"datacenter" doc:"The datacenter that is near; requests stay there. Left out: that of the first node that answers."`
	Consistency       string        `key:"consistency" default:"LOCAL_QUORUM" enum:"LOCAL_QUORUM|QUORUM|ALL" doc:"Consistency of reads and writes. Weaker levels would break what S3 promises. 'QUORUM' where gateways of several datacenters write the same buckets."`
	SerialConsistency string        `key:"serial-consistency" default:"LOCAL_SERIAL" enum:"LOCAL_SERIAL|SERIAL" doc:"Consistency of conditional writes. 'SERIAL' where gateways of several datacenters write the same buckets: with 'LOCAL_SERIAL' each datacenter decides for itself, and two writers of one key both win."`
	Replication       Replication   `key:"replication" doc:"Replication of a keyspace that bootstrap makes; one that exists is left as it is. A plain number is the factor."`
	TLS               CassandraTLS  `key:"tls" doc:"TLS to Cassandra. 'true' alone uses the system's authorities."`
	ConnectTimeout    time.Duration `key:"connect-timeout" default:"5s" min:"100ms" max:"10m" doc:"Time for a connection to be made."`
	Timeout           time.Duration `key:"timeout" default:"10s" min:"100ms" max:"10m" doc:"Time for one statement to be answered."`
	Connections       int           `key:"connections" default:"2" min:"1" max:"128" doc:"Connections to each node."`

	_ struct{} `key:"repfactor" moved:"replication.factor"`
	_ struct{} `key:"hints" refused:"write 'replication: {strategy: ..., factor: ...}' instead"`
	_ struct{} `key:"read-consistency" refused:"reads and writes share 'consistency', so that one sees the other; set that and remove this line"`
	_ struct{} `key:"write-consistency" refused:"reads and writes share 'consistency', so that one sees the other; set that and remove this line"`
	_ struct{} `key:"cassandra-options" refused:"options of the former Java driver do not apply; use 'port', 'tls', 'datacenter', 'timeout' and their like"`
}

// Host is one contact point. Port is never 0 after [Load].
type Host struct {
	Host string `key:"host" short:"yes" doc:"Host name or address."`
	Port int    `key:"port" min:"1" max:"65535" doc:"Port; left out, that of the cluster."`
}

// Replication is how a keyspace is replicated. After [Load] Strategy is set.
// Datacenters, where not empty, counts; otherwise Factor does.
type Replication struct {
	Strategy    string         `key:"strategy" enum:"SimpleStrategy|NetworkTopologyStrategy" doc:"Left out: NetworkTopologyStrategy."`
	Factor      int            `key:"factor" min:"1" max:"64" short:"yes" doc:"Copies of each row, in each datacenter. Left out: three in the near datacenter, or as many as it has nodes, if fewer, when bootstrap runs."`
	Datacenters map[string]int `key:"datacenters" name:"datacenter" min:"0" max:"64" doc:"Copies by datacenter, in place of 'factor'."`
}

// CassandraTLS is TLS to a cluster.
type CassandraTLS struct {
	Enabled     bool   `key:"enabled" default:"false" short:"yes" doc:"Whether TLS is spoken. Naming any of the files below implies it."`
	CA          string `key:"ca" doc:"PEM file with the authorities to trust. Left out: the system's."`
	Certificate string `key:"certificate" doc:"PEM file with the client's certificate, where the cluster asks for one."`
	Key         string `key:"key" doc:"PEM file with its private key."`
	ServerName  string `key:"server-name" doc:"Name to expect in the nodes' certificates. Left out: the host that is connected to."`
	Verify      bool   `key:"verify" default:"true" doc:"Check the nodes' certificates. 'false' leaves the connection open to anyone in between."`
}
