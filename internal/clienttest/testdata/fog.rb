# Stores by fog-aws as GitLab's Rails part does, with the settings in gitlab.rb;
# prints a line of JSON for each behaviour.
require "fog/aws"
require "json"
require "net/http"

deep = proc { |h, k| h[k] = Hash.new(&deep) }
gitlab_rails, registry = Hash.new(&deep), {}
eval(File.read("gitlab.rb"), binding, "gitlab.rb")

# As GitLab does: names of settings are symbols.
CONNECTION = gitlab_rails["object_store"]["connection"].to_h { |k, v| [k.to_sym, v] }
BUCKETS = gitlab_rails["object_store"]["objects"].map { |_, o| o["bucket"] }

def report(name)
  failure = ""
  begin
    yield
  rescue StandardError => e
    failure = "#{e.class}: #{e.message} #{e.backtrace.first(3).join(' ')}"[0, 2000]
  end
  puts JSON.generate("Name" => name, "Failure" => failure)
  $stdout.flush
end

def want(what, ok)
  raise "not so: #{what}" unless ok
end

def http(method, url, body = nil, headers = {})
  uri = URI(url)
  request = Net::HTTP.const_get(method.capitalize).new(uri, headers)
  request.body = body if body
  Net::HTTP.start(uri.host, uri.port) { |h| h.request(request) }
end

fog = Fog::Storage.new(CONNECTION.merge(connection_options: { ciphers: nil }.compact))
LARGE = Random.new(1).bytes(12 << 20)

report("BucketsAreMadeAndFound") do
  BUCKETS.each { |b| fog.directories.create(key: b) }
  BUCKETS.each { |b| want "#{b} is found", fog.directories.get(b) }
  want "a bucket that is not there is not found", fog.directories.get("gitlab-absent").nil?
end

dir = fog.directories.get(BUCKETS.first) || raise("no bucket")

report("AFileIsStored") do
  f = dir.files.create(key: "a b/ü+%20&.txt", body: "hello", content_type: "text/plain", metadata: { "x-amz-meta-by" => "gitlab" })
  got = dir.files.get(f.key)
  want "the same bytes", got.body == "hello"
  want "its type", got.content_type == "text/plain"
  want "metadata", got.metadata["x-amz-meta-by"] == "gitlab"
end

report("AFileIsLookedAt") do
  want "its size", dir.files.head("a b/ü+%20&.txt").content_length == 5
  want "an absent file is nil", dir.files.head("absent").nil? && dir.files.get("absent").nil?
end

report("AFileIsReadInBlocks") do
  dir.files.create(key: "large", body: LARGE)
  got = +""
  dir.files.get("large") { |chunk, _, _| got << chunk }
  want "the same bytes", got.b == LARGE
end

report("AFileIsStoredInParts") do
  dir.files.create(key: "parts", body: StringIO.new(LARGE), multipart_chunk_size: 5 << 20)
  head = dir.files.head("parts")
  want "three parts", head.etag.end_with?("-3")
  want "the same bytes", dir.files.get("parts").body.b == LARGE
end

report("AFileIsCopied") do
  dir.files.get("parts").copy(BUCKETS[1], "copied")
  want "the same bytes", fog.directories.get(BUCKETS[1]).files.get("copied").body.b == LARGE
end

report("AFileIsCopiedInParts") do
  f = dir.files.head("parts")
  f.multipart_chunk_size = 5 << 20
  f.copy(BUCKETS[1], "copied-in-parts")
  want "the same bytes", fog.directories.get(BUCKETS[1]).files.get("copied-in-parts").body.b == LARGE
end

report("FilesAreListedInPages") do
  12.times { |i| dir.files.create(key: format("list/%02d", i), body: "x") }
  keys = []
  marker = nil
  loop do
    page = fog.get_bucket(dir.key, "prefix" => "list/", "max-keys" => 5, "marker" => marker).body
    keys += page["Contents"].map { |c| c["Key"] }
    break unless page["IsTruncated"]
    marker = keys.last
  end
  want "twelve keys in order", keys == (0...12).map { |i| format("list/%02d", i) }
end

report("FoldersAreListed") do
  want "common prefixes", fog.get_bucket(dir.key, "delimiter" => "/").body["CommonPrefixes"].sort == ["a b/", "list/"]
end

report("ASignedGetWorks") do
  url = dir.files.head("large").url(Time.now + 600, query: { "response-content-disposition" => "attachment; filename=\"x.bin\"" })
  r = http("get", url)
  want "200, not #{r.code}", r.code == "200"
  want "the same bytes", r.body.b == LARGE
  want "its disposition", r["content-disposition"] == "attachment; filename=\"x.bin\""
end

report("ASignedPutAndDeleteWork") do
  r = http("put", fog.put_object_url(dir.key, "signed", Time.now + 600, "Content-Type" => "application/octet-stream"), "signed", "Content-Type" => "application/octet-stream")
  want "200, not #{r.code} #{r.body}", r.code == "200"
  want "the same bytes", dir.files.get("signed").body == "signed"
  want "HEAD", http("head", fog.head_object_url(dir.key, "signed", Time.now + 600)).code == "200"
  r = http("delete", fog.delete_object_url(dir.key, "signed", Time.now + 600))
  want "204, not #{r.code}", r.code == "204"
  want "it is gone", dir.files.head("signed").nil?
end

# What Workhorse is given: URLs for the parts, the completion and the abortion.
def signed(fog, method, bucket, key, query)
  fog.signed_url({ bucket_name: bucket, object_name: key, method: method, headers: {}, query: query }, Time.now + 600)
end

report("AnUploadInPartsBySignedURLsWorks") do
  id = fog.initiate_multipart_upload(dir.key, "workhorse").body["UploadId"]
  etags = [LARGE[0, 5 << 20], LARGE[(5 << 20)..]].each_with_index.map do |part, i|
    r = http("put", signed(fog, "PUT", dir.key, "workhorse", "uploadId" => id, "partNumber" => (i + 1).to_s), part)
    want "200, not #{r.code} #{r.body}", r.code == "200"
    r["etag"]
  end
  parts = etags.each_with_index.map { |e, i| "<Part><PartNumber>#{i + 1}</PartNumber><ETag>#{e}</ETag></Part>" }
  r = http("post", signed(fog, "POST", dir.key, "workhorse", "uploadId" => id), "<CompleteMultipartUpload>#{parts.join}</CompleteMultipartUpload>")
  want "200, not #{r.code} #{r.body}", r.code == "200"
  want "the same bytes", dir.files.get("workhorse").body.b == LARGE
end

report("AnUploadInPartsIsAbortedBySignedURL") do
  id = fog.initiate_multipart_upload(dir.key, "aborted").body["UploadId"]
  r = http("delete", signed(fog, "DELETE", dir.key, "aborted", "uploadId" => id))
  want "204, not #{r.code} #{r.body}", r.code == "204"
  want "no upload is left", fog.list_multipart_uploads(dir.key).body["Upload"].empty?
end

report("SignatureVersion2Works") do
  old = Fog::Storage.new(CONNECTION.merge(aws_signature_version: 2))
  old.directories.get(dir.key).files.create(key: "v2 ü", body: "v2")
  want "the same bytes", old.directories.get(dir.key).files.get("v2 ü").body == "v2"
end

report("SignaturesWithoutChunksWork") do
  plain = Fog::Storage.new(CONNECTION.merge(enable_signature_v4_streaming: false))
  plain.directories.get(dir.key).files.create(key: "plain", body: LARGE)
  want "the same bytes", plain.directories.get(dir.key).files.get("plain").body.b == LARGE
end

report("FilesAndBucketsAreDeleted") do
  dir.files.head("large").destroy
  want "it is gone", dir.files.head("large").nil?
  fog.delete_multiple_objects(dir.key, (0...12).map { |i| format("list/%02d", i) })
  want "they are gone", fog.get_bucket(dir.key, "prefix" => "list/").body["Contents"].empty?
  BUCKETS.each do |b|
    fog.directories.get(b).files.each(&:destroy)
    want "the bucket #{b} goes", fog.directories.get(b).destroy
  end
  want "all are gone", BUCKETS.none? { |b| fog.directories.get(b) }
end
