"""Runs the behaviours of a script in order and prints a line of JSON for each."""
import http.client
import json
import os
import traceback
import urllib.parse

HOST, PORT = os.environ['PITHOS_HOST'], int(os.environ['PITHOS_PORT'])
KEY, SECRET = os.environ['PITHOS_ID'], os.environ['PITHOS_SECRET']
BUCKET = os.environ['PITHOS_BUCKET']
ODD = ['a b/ü+%20&~', '日本', 'q?x#y', 'trail ', 'a//b', '/lead', 'plus+', '..x', 'q\'"<>', 'tab\t']


def behaviour(f):
    """Runs f at once; what it raises fails the Go subtest of its name."""
    failure = ''
    try:
        f()
    except Exception:
        failure = traceback.format_exc()
    print(json.dumps({'name': f.__name__, 'failure': failure}), flush=True)


def fetch(method, url, body=None, headers=None):
    """Asks for a URL unsigned and returns status and body."""
    u = urllib.parse.urlsplit(url)
    c = http.client.HTTPConnection(u.hostname, u.port, timeout=30)
    c.request(method, u.path + ('?' + u.query if u.query else ''), body, headers or {})
    r = c.getresponse()
    return r.status, r.read()


def equal(got, want):
    if got != want:
        raise AssertionError('got %r, want %r' % (got, want))
