package policy

import (
	"regexp"
	"strings"
)

var (
	accountID  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+=@$-]{0,127}$`)
	userPath   = regexp.MustCompile(`^[A-Za-z0-9._+=,@/-]{1,576}$`)
	serviceDNS = regexp.MustCompile(`^[a-z0-9-]+(\.[a-z0-9-]+)+$`)
)

// principals parses the value of a Principal element: "*", or an object with
// the members AWS, CanonicalUser and Service.
func (r *reader) principals(n node, out *principals) error {
	if n.kind == 's' && n.text == "*" {
		out.all = true
		return nil
	}
	if n.kind != '{' || len(n.fields) == 0 {
		return r.at(n, `Invalid principal in policy: want "*", or AWS, CanonicalUser or Service in braces`)
	}
	for _, f := range n.fields {
		list, err := r.strings(f.node)
		if err != nil {
			return err
		}
		for _, item := range list {
			if problem := out.add(f.name, item.text); problem != "" {
				return r.at(item, "Invalid principal in policy: %s", problem)
			}
		}
	}
	return nil
}

// add adds one principal of a kind; a problem says why it was not added.
func (s *principals) add(kind, text string) (problem string) {
	switch kind {
	case "AWS":
		return s.addAWS(text)
	case "CanonicalUser":
		if !accountID.MatchString(text) {
			return "not a canonical id: " + text
		}
		s.canonical = append(s.canonical, text)
	case "Service":
		if !serviceDNS.MatchString(text) {
			return "not a service: " + text
		}
		s.services = append(s.services, text)
	case "Federated":
		return "there are no federated users"
	default:
		return "unknown kind " + kind
	}
	return ""
}

// addAWS adds "*", an account id, or the ARN of an account or user.
func (s *principals) addAWS(text string) (problem string) {
	if text == "*" {
		s.anyone = true
		return ""
	}
	if accountID.MatchString(text) {
		s.accounts = append(s.accounts, text)
		return ""
	}
	parts := strings.Split(text, ":")
	if len(parts) != 6 || parts[0] != "arn" || !strings.HasPrefix(parts[1], "aws") ||
		parts[2] != "iam" || parts[3] != "" || !accountID.MatchString(parts[4]) {
		return "want an account's id, arn:aws:iam::ACCOUNT:root or arn:aws:iam::ACCOUNT:user/NAME, not " + text
	}
	user, isUser := strings.CutPrefix(parts[5], "user/")
	switch {
	case parts[5] == "root":
		s.accounts = append(s.accounts, parts[4])
	case isUser && userPath.MatchString(user):
		s.arns = append(s.arns, "arn:aws:iam::"+parts[4]+":user/"+user)
	default:
		return "there are no such identities: " + text
	}
	return ""
}
