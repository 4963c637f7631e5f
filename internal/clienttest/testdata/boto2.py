import io
import json
import os

from boto.exception import S3ResponseError
from boto.s3.connection import OrdinaryCallingFormat, S3Connection, SubdomainCallingFormat
from boto.s3.cors import CORSConfiguration

from steps import BUCKET, HOST, KEY, ODD, PORT, SECRET, behaviour, equal, fetch

c = S3Connection(KEY, SECRET, is_secure=False, host=HOST, port=PORT, calling_format=OrdinaryCallingFormat())
b = c.get_bucket(BUCKET, validate=False)
data = os.urandom(6 << 20)
url = 'http://%s:%d/%s/' % (HOST, PORT, BUCKET)


def refused(code, f, *args, **kw):
    try:
        f(*args, **kw)
    except S3ResponseError as e:
        equal(e.error_code or e.status, code)
    else:
        raise AssertionError('done, not refused with %s' % code)


@behaviour
def BucketsComeAndGo():
    n = BUCKET[:50] + '-two'
    two = c.create_bucket(n)
    assert c.lookup(n) is not None
    assert c.lookup(n + 'x') is None
    assert n in [x.name for x in c.get_all_buckets()]
    equal(two.get_location(), '')
    two.new_key('k').set_contents_from_string('x')
    refused('BucketNotEmpty', two.delete)
    two.delete_key('k')
    two.delete()
    assert c.lookup(n) is None


@behaviour
def KeysAreSetAndRead():
    b.new_key('hello').set_contents_from_string('world')
    equal(b.get_key('hello').get_contents_as_string(), b'world')
    assert b.get_key('nope') is None
    equal(b.get_key('hello').get_contents_as_string(headers={'Range': 'bytes=1-3'}), b'orl')
    refused(304, b.get_key('hello').get_contents_as_string, headers={'If-None-Match': b.get_key('hello').etag})


@behaviour
def OddKeysWork():
    names = [n for n in ODD if '/' not in n]  # boto asks for a/b where a//b is meant
    for name in names:
        b.new_key('odd/' + name).set_contents_from_string(name)
        equal(b.get_key('odd/' + name).get_contents_as_string().decode(), name)
        b.copy_key('odd copies/' + name, BUCKET, 'odd/' + name)
    for prefix in ('odd/', 'odd copies/'):
        equal(sorted(k.name for k in b.list(prefix)), sorted(prefix + n for n in names))


@behaviour
def MetadataIsKept():
    k = b.new_key('meta')
    k.set_metadata('colour', 'bläulich grün')
    k.set_metadata('Content-Type', 'text/x')
    k.set_metadata('Cache-Control', 'max-age=3')
    k.set_contents_from_string('x', encrypt_key=True)
    k = b.get_key('meta')
    equal((k.get_metadata('colour'), k.content_type, k.cache_control, k.encrypted), ('bläulich grün', 'text/x', 'max-age=3', 'AES256'))
    k.set_remote_metadata({'colour': 'grün', 'size': 'new'}, {}, True)
    equal(b.get_key('meta').metadata, {'colour': 'grün', 'size': 'new'})


@behaviour
def AWrongDigestIsRefused():
    refused('BadDigest', b.new_key('digest').set_contents_from_string, 'secret', md5=('d41d8cd98f00b204e9800998ecf8427e', '1B2M2Y8AsgTpgAmY7PhCfg=='))
    assert b.get_key('digest') is None


@behaviour
def CopiesAreMade():
    b.copy_key('copy ü+', BUCKET, 'hello', metadata={'z': '1'})
    k = b.get_key('copy ü+')
    equal((k.get_metadata('z'), k.read()), ('1', b'world'))


@behaviour
def ListingsArePaged():
    for i in range(12):
        b.new_key('l/%02d/x' % i).set_contents_from_string(str(i))
    equal(len(list(b.list('l/', delimiter='/'))), 12)
    page = b.get_all_keys(max_keys=7, prefix='l/')
    equal((len(page), page.is_truncated), (7, True))
    equal(len(list(b.list('l/', '', 'l/05/x'))), 6)


@behaviour
def ObjectsAreUploadedInParts():
    mp = b.initiate_multipart_upload('parts', metadata={'a': 'b'}, encrypt_key=True)
    mp.upload_part_from_file(io.BytesIO(data), 1)
    mp.upload_part_from_file(io.BytesIO(b'tail'), 2)
    equal([(p.part_number, p.size) for p in mp], [(1, len(data)), (2, 4)])
    equal([u.key_name for u in b.get_all_multipart_uploads()], ['parts'])
    assert mp.complete_upload().etag.endswith('-2"')
    equal(b.get_key('parts').get_metadata('a'), 'b')
    assert b.get_key('parts').get_contents_as_string() == data + b'tail'


@behaviour
def PartsAreCopied():
    mp = b.initiate_multipart_upload('copied')
    mp.copy_part_from_key(BUCKET, 'parts', 1, 0, (5 << 20) + 6)
    mp.copy_part_from_key(BUCKET, 'parts', 2, 10, 20)
    mp.complete_upload()
    assert b.get_key('copied').get_contents_as_string() == data[:(5 << 20) + 7] + data[10:21]
    b.initiate_multipart_upload('cancelled').cancel_upload()
    equal(list(b.list_multipart_uploads()), [])


@behaviour
def GeneratedURLsWork():
    equal(fetch('GET', b.get_key('hello').generate_url(60)), (200, b'world'))
    equal(fetch('GET', b.get_key('hello').generate_url(60, response_headers={'response-content-type': 'text/foo'})), (200, b'world'))
    put = c.generate_url(60, 'PUT', BUCKET, 'put ü+', headers={'Content-Type': 'text/y'})
    equal(fetch('PUT', put, b'data', {'Content-Type': 'text/z'})[0], 403)
    equal(fetch('PUT', put, b'data', {'Content-Type': 'text/y'})[0], 200)
    equal(b.get_key('put ü+').read(), b'data')
    equal(fetch('GET', c.generate_url(-60, 'GET', BUCKET, 'hello'))[0], 403)
    equal(fetch('DELETE', c.generate_url(60, 'DELETE', BUCKET, 'put ü+'))[0], 204)


@behaviour
def ACLsAreSetAndRead():
    k = b.get_key('hello')
    k.set_acl('public-read')
    equal(fetch('GET', url + 'hello'), (200, b'world'))
    k.set_xml_acl(k.get_xml_acl())
    k.set_acl('private')
    equal(fetch('GET', url + 'hello')[0], 403)
    b.set_acl('public-read')
    equal(sorted(g.permission for g in b.get_acl().acl.grants), ['FULL_CONTROL', 'READ'])
    equal(fetch('GET', url)[0], 200)
    b.set_canned_acl('private')
    equal(fetch('GET', url)[0], 403)


@behaviour
def SettingsAreKept():
    policy = {'Version': '2012-10-17', 'Statement': [{'Effect': 'Allow', 'Principal': '*', 'Action': 's3:GetObject', 'Resource': 'arn:aws:s3:::%s/x*' % BUCKET}]}
    b.set_policy(json.dumps(policy))
    equal(json.loads(b.get_policy()), policy)
    b.delete_policy()
    cors = CORSConfiguration()
    cors.add_rule(['PUT'], 'http://x')
    b.set_cors(cors)
    assert b'http://x' in b.get_cors_xml()
    b.delete_cors()


@behaviour
def VirtualHostsWorkThroughAProxy():
    p = S3Connection(KEY, SECRET, is_secure=False, host=os.environ['PITHOS_SERVICE'], proxy=HOST, proxy_port=PORT, calling_format=SubdomainCallingFormat())
    v = p.get_bucket(BUCKET)
    v.new_key('sub ü').set_contents_from_string('s')
    equal(v.get_key('sub ü').read(), b's')


@behaviour
def VersionsAreKept():
    equal(b.get_versioning_status(), {})
    b.configure_versioning(True)
    equal(b.get_versioning_status(), {'Versioning': 'Enabled'})
    k = b.new_key('v')
    k.set_contents_from_string('1')
    first = k.version_id
    k.set_contents_from_string('2')
    equal(b.get_key('v').get_contents_as_string(version_id=first), b'1')
    b.delete_key('v')
    equal([x.__class__.__name__ for x in b.list_versions('v')], ['DeleteMarker', 'Key', 'Key'])
    b.configure_versioning(False)


@behaviour
def ManyKeysAreDeletedAtOnce():
    r = b.delete_keys(['hello', 'nope'] + ['l/%02d/x' % i for i in range(12)])
    equal((len(r.deleted), r.errors), (14, []))


@behaviour
def AWrongSecretIsRefused():
    refused('SignatureDoesNotMatch', S3Connection(KEY, 'wrong', is_secure=False, host=HOST, port=PORT, calling_format=OrdinaryCallingFormat()).get_all_buckets)
