import io
import os

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

from steps import BUCKET, HOST, KEY, ODD, PORT, SECRET, behaviour, equal, fetch


def client(**config):
    return boto3.client('s3', endpoint_url='http://%s:%d' % (HOST, PORT), aws_access_key_id=KEY, aws_secret_access_key=SECRET,
                        region_name='us-east-1', config=Config(retries={'total_max_attempts': 1}, **config))


c = client()
data = os.urandom(12 << 20)


def refused(code, f, **kw):
    try:
        f(**kw)
    except ClientError as e:
        equal(e.response['Error']['Code'], code)
    else:
        raise AssertionError('done, not refused with %s' % code)


def body(key, **kw):
    return c.get_object(Bucket=BUCKET, Key=key, **kw)['Body'].read()


@behaviour
def BucketsComeAndGo():
    n = BUCKET[:50] + '-two'
    c.create_bucket(Bucket=n)
    c.get_waiter('bucket_exists').wait(Bucket=n)
    assert n in [b['Name'] for b in c.list_buckets()['Buckets']]
    c.put_object(Bucket=n, Key='k')
    refused('BucketNotEmpty', c.delete_bucket, Bucket=n)
    c.delete_object(Bucket=n, Key='k')
    c.delete_bucket(Bucket=n)
    refused('404', c.head_bucket, Bucket=n)


@behaviour
def ObjectsCarryTheDefaultChecksum():
    r = c.put_object(Bucket=BUCKET, Key='k', Body=b'hello', Metadata={'a': 'b'}, ContentType='text/x', ServerSideEncryption='AES256')
    assert any(k.startswith('Checksum') for k in r), r
    r = c.get_object(Bucket=BUCKET, Key='k', ChecksumMode='ENABLED')
    equal((r['Body'].read(), r['Metadata'], r['ContentType'], r['ServerSideEncryption']), (b'hello', {'a': 'b'}, 'text/x', 'AES256'))
    assert any(k.startswith('Checksum') for k in r), r
    refused('NoSuchKey', c.get_object, Bucket=BUCKET, Key='absent')


@behaviour
def StreamsGoInAsTrailers():
    class Stream(io.BytesIO):  # of a length that is known, and content that is not
        pass
    for algorithm in ('CRC32', 'SHA1', 'SHA256'):
        c.put_object(Bucket=BUCKET, Key='stream', Body=Stream(data[:300000]), ChecksumAlgorithm=algorithm)
        assert body('stream', ChecksumMode='ENABLED') == data[:300000]


@behaviour
def OddKeysWork():
    for n in ODD:
        c.put_object(Bucket=BUCKET, Key='odd/' + n, Body=n.encode())
        equal(body('odd/' + n).decode(), n)
        c.copy_object(Bucket=BUCKET, Key='copies/' + n, CopySource={'Bucket': BUCKET, 'Key': 'odd/' + n})
    for prefix in ('odd/', 'copies/'):
        equal(sorted(o['Key'] for o in c.list_objects_v2(Bucket=BUCKET, Prefix=prefix)['Contents']), sorted(prefix + n for n in ODD))
    r = c.delete_objects(Bucket=BUCKET, Delete={'Objects': [{'Key': 'copies/' + n} for n in ODD]})
    equal((len(r['Deleted']), r.get('Errors')), (len(ODD), None))


@behaviour
def LargeFilesGoInPartsBothWays():
    config = TransferConfig(multipart_threshold=6 << 20, multipart_chunksize=5 << 20)
    c.upload_fileobj(io.BytesIO(data), BUCKET, 'large', Config=config)
    assert c.head_object(Bucket=BUCKET, Key='large')['ETag'].endswith('-3"')
    got = io.BytesIO()
    c.download_fileobj(BUCKET, 'large', got, Config=config)
    assert got.getvalue() == data
    c.copy({'Bucket': BUCKET, 'Key': 'large'}, BUCKET, 'large copy', Config=config)
    assert body('large copy') == data
    equal(body('large', Range='bytes=-5'), data[-5:])
    refused('InvalidRange', c.get_object, Bucket=BUCKET, Key='large', Range='bytes=%d-' % len(data))


@behaviour
def ConditionsHold():
    c.put_object(Bucket=BUCKET, Key='once', Body=b'1', IfNoneMatch='*')
    refused('PreconditionFailed', c.put_object, Bucket=BUCKET, Key='once', Body=b'2', IfNoneMatch='*')
    etag = c.head_object(Bucket=BUCKET, Key='once')['ETag']
    c.put_object(Bucket=BUCKET, Key='once', Body=b'3', IfMatch=etag)
    refused('PreconditionFailed', c.put_object, Bucket=BUCKET, Key='once', Body=b'4', IfMatch=etag)
    equal(body('once'), b'3')


@behaviour
def ListingsArePaged():
    for i in range(9):
        c.put_object(Bucket=BUCKET, Key='l/%d/x' % i)
    for name in ('list_objects', 'list_objects_v2'):
        pages = list(c.get_paginator(name).paginate(Bucket=BUCKET, Prefix='l/', Delimiter='/', PaginationConfig={'PageSize': 2}))
        equal([p['Prefix'] for page in pages for p in page['CommonPrefixes']], ['l/%d/' % i for i in range(9)])


@behaviour
def PresignedURLsWorkWithBothVersions():
    for version in ('s3v4', 's3'):
        s = client(signature_version=version)
        equal(fetch('GET', s.generate_presigned_url('get_object', Params={'Bucket': BUCKET, 'Key': 'k'})), (200, b'hello'))
        status, answer = fetch('PUT', s.generate_presigned_url('put_object', Params={'Bucket': BUCKET, 'Key': 'p ü+'}), b'put')
        equal((status, answer), (200, b''))
        equal(body('p ü+'), b'put')


@behaviour
def FormsAreSigned():
    post = c.generate_presigned_post(BUCKET, 'form/${filename}', Fields={'success_action_status': '201'}, Conditions=[{'success_action_status': '201'}])
    parts = ['--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % f for f in post['fields'].items()]
    form = ''.join(parts) + '--x\r\nContent-Disposition: form-data; name="file"; filename="f.txt"\r\n\r\nposted\r\n--x--\r\n'
    status, answer = fetch('POST', post['url'], form.encode(), {'Content-Type': 'multipart/form-data; boundary=x'})
    equal((status, b'<Key>form/f.txt</Key>' in answer), (201, True))
    equal(body('form/f.txt'), b'posted')


@behaviour
def SettingsAreKept():
    c.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={'Status': 'Enabled'})
    first = c.put_object(Bucket=BUCKET, Key='v', Body=b'1')['VersionId']
    marker = c.delete_object(Bucket=BUCKET, Key='v')
    assert marker['DeleteMarker']
    equal(body('v', VersionId=first), b'1')
    r = c.list_object_versions(Bucket=BUCKET, Prefix='v')
    equal((len(r['Versions']), r['DeleteMarkers'][0]['VersionId']), (1, marker['VersionId']))
    tags = [{'Key': 'a', 'Value': 'b c'}]
    c.put_object_tagging(Bucket=BUCKET, Key='k', Tagging={'TagSet': tags})
    equal(c.get_object_tagging(Bucket=BUCKET, Key='k')['TagSet'], tags)
    c.put_object_acl(Bucket=BUCKET, Key='k', ACL='public-read')
    equal(fetch('GET', 'http://%s:%d/%s/k' % (HOST, PORT, BUCKET))[0], 200)
    c.put_public_access_block(Bucket=BUCKET, PublicAccessBlockConfiguration=dict.fromkeys(
        ('BlockPublicAcls', 'IgnorePublicAcls', 'BlockPublicPolicy', 'RestrictPublicBuckets'), True))
    equal(fetch('GET', 'http://%s:%d/%s/k' % (HOST, PORT, BUCKET))[0], 403)


@behaviour
def VirtualHostsWorkThroughAProxy():
    p = boto3.client('s3', endpoint_url='http://' + os.environ['PITHOS_SERVICE'], aws_access_key_id=KEY, aws_secret_access_key=SECRET,
                     region_name='us-east-1', config=Config(s3={'addressing_style': 'virtual'}, proxies={'http': 'http://%s:%d' % (HOST, PORT)}))
    p.put_object(Bucket=BUCKET, Key='virtual ü', Body=b'v')
    equal(p.get_object(Bucket=BUCKET, Key='virtual ü')['Body'].read(), b'v')
