# The image has the static binary and what it needs of a system: the certificates
# of TLS authorities, a user, and a directory for the embedded engine.
#
#   docker build -t localhost/pithos .
#   docker buildx build --platform linux/amd64,linux/arm64 -t localhost/pithos .
#
# The classic builder (DOCKER_BUILDKIT=0) builds it too, for its own platform.
#
# The name contains the registry "localhost", so that Docker pulls no other image
# before this one is built. To publish the image, tag it with your registry's name.
#
# The same source and the same GO_IMAGE give the same layer, byte for byte. For an
# identical image also set the time that BuildKit records: SOURCE_DATE_EPOCH=0.
ARG GO_IMAGE=golang:1.26

# Only BuildKit sets BUILDPLATFORM; "linux" is the platform of the daemon.
FROM --platform=${BUILDPLATFORM:-linux} ${GO_IMAGE} AS build
WORKDIR /src
ENV CGO_ENABLED=0 GOFLAGS=-buildvcs=false
# A separate layer, so that a change of the source does not download again.
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# BuildKit sets them, unless they have a default here: then an image for another
# platform would get this platform's binary. Empty means the daemon's platform.
ARG TARGETOS
ARG TARGETARCH
ARG VERSION=
RUN GOOS=${TARGETOS} GOARCH=${TARGETARCH} go build -trimpath \
      -ldflags="-s -w -buildid= -X main.version=${VERSION}" -o /image/usr/bin/pithos ./cmd/pithos \
 && mkdir -p /image/etc/ssl/certs /image/data \
 && cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ \
 && echo 'pithos:x:65532:65532:pithos:/data:/usr/bin/pithos' > /image/etc/passwd \
 && echo 'pithos:x:65532:' > /image/etc/group \
 && chown 65532:65532 /image/data \
 && chmod 700 /image/data \
 && find /image -exec touch -h -d @0 {} +

FROM scratch
ARG VERSION=
ARG REVISION=
LABEL org.opencontainers.image.title="Pithos" \
      org.opencontainers.image.description="An S3-compatible object store over Apache Cassandra, or over a directory" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://github.com/pithos/pithos" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# One COPY, which keeps the times and the owner of the directories.
COPY --from=build /image/ /
# Without a configuration file: listen on every interface, store in the volume.
ENV PITHOS_LISTEN=0.0.0.0:8080 PITHOS_DATA=/data
USER 65532:65532
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["/usr/bin/pithos", "healthcheck"]
ENTRYPOINT ["/usr/bin/pithos"]
CMD ["serve"]
