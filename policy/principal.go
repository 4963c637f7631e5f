package policy

import "slices"

// The groups that S3 knows, by URI.
const (
	AllUsers           = "http://acs.amazonaws.com/groups/global/AllUsers"
	AuthenticatedUsers = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
	LogDelivery        = "http://acs.amazonaws.com/groups/s3/LogDelivery"
)

// LoggingService is the service principal that delivers server access logs.
const LoggingService = "logging.s3.amazonaws.com"

// Principal is who asks.
type Principal struct {
	// ID is the canonical id of the tenant, the account in ARNs. It is ""
	// for the anonymous and for services.
	ID string
	// User is the name, with its path, of a user within the tenant; "" is
	// the tenant itself.
	User string
	// Groups are the URIs of further groups that it belongs to.
	Groups []string
	// Master says that it is an operator who may do everything.
	Master bool
	// Anonymous says that the request carries no credentials.
	Anonymous bool
	// AccessKey is the id of the key that signed the request.
	AccessKey string
	// Service names the service that acts, as [LoggingService]; "" for all
	// others.
	Service string
}

// is reports whether the principal belongs to the tenant id.
func (p Principal) is(id string) bool {
	return !p.Anonymous && p.ID != "" && p.ID == id
}

// in reports whether the principal belongs to the group of that URI.
func (p Principal) in(group string) bool {
	switch group {
	case AllUsers:
		return true
	case AuthenticatedUsers:
		return !p.Anonymous
	case LogDelivery:
		return p.Service == LoggingService || slices.Contains(p.Groups, group)
	}
	return !p.Anonymous && slices.Contains(p.Groups, group)
}

// kind is the value of aws:PrincipalType.
func (p Principal) kind() string {
	switch {
	case p.Anonymous:
		return "Anonymous"
	case p.Service != "":
		return "Service"
	case p.User != "":
		return "User"
	}
	return "Account"
}

// arn is the value of aws:PrincipalArn, "" where there is none.
func (p Principal) arn() string {
	switch p.kind() {
	case "Account":
		return "arn:aws:iam::" + p.ID + ":root"
	case "User":
		return "arn:aws:iam::" + p.ID + ":user/" + p.User
	}
	return ""
}

// principals is what a Principal or NotPrincipal element names.
type principals struct {
	all       bool // "*"
	anyone    bool // {"AWS": "*"}: every principal except services
	accounts  []string
	arns      []string // of users
	canonical []string
	services  []string
}

func (s *principals) contain(p Principal) bool {
	switch {
	case s.all:
		return true
	case p.Service != "":
		return slices.Contains(s.services, p.Service)
	case s.anyone:
		return true
	case p.Anonymous || p.ID == "":
		return false
	}
	return slices.Contains(s.accounts, p.ID) || slices.Contains(s.canonical, p.ID) ||
		(p.User != "" && slices.Contains(s.arns, p.arn()))
}

// userID is the value of aws:userid.
func (p Principal) userID() string {
	if p.User != "" {
		return p.ID + ":" + p.User
	}
	return p.ID
}
