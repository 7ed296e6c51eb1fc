# The invoker of a cluster. Its actions run as processes in its own container, so that
# the languages have to be in the image. Build from the project's directory:
#   docker build -f deploy/invoker.Dockerfile -t gowhisk/invoker .
FROM --platform=$BUILDPLATFORM golang:1.26-bookworm AS build
ARG TARGETOS TARGETARCH VERSION=unknown BUILD_TIME=unknown
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath \
    -ldflags "-s -w -X main.version=$VERSION -X main.built=$BUILD_TIME" -o /out/invoker ./invoker

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates nodejs python3 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 65532 --user-group --home-dir /var/lib/gowhisk --create-home gowhisk
COPY --from=build /out/invoker /usr/local/bin/invoker
ENV GOWHISK_ADDR=0.0.0.0:8085 GOWHISK_DATA_DIR=/var/lib/gowhisk/data
USER gowhisk
VOLUME /var/lib/gowhisk
EXPOSE 8085
ENTRYPOINT ["/usr/local/bin/invoker"]
