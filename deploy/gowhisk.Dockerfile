# The tools of operators, above all "gowhisk admin". Build from the project's directory:
#   docker build -f deploy/gowhisk.Dockerfile -t gowhisk/gowhisk .
FROM --platform=$BUILDPLATFORM golang:1.26-bookworm AS build
ARG TARGETOS TARGETARCH VERSION=unknown BUILD_TIME=unknown
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath \
    -ldflags "-s -w -X main.version=$VERSION -X main.built=$BUILD_TIME" -o /out/gowhisk ./standalone

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/gowhisk /gowhisk
ENTRYPOINT ["/gowhisk"]
