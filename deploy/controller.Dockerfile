# The controller of a cluster. Build from the project's directory:
#   docker build -f deploy/controller.Dockerfile -t gowhisk/controller .
# For other processors: docker buildx build --platform linux/amd64,linux/arm64 …
FROM --platform=$BUILDPLATFORM golang:1.26-bookworm AS build
ARG TARGETOS TARGETARCH VERSION=unknown BUILD_TIME=unknown
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath \
    -ldflags "-s -w -X main.version=$VERSION -X main.built=$BUILD_TIME" -o /out/controller ./controller

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/controller /controller
ENV GOWHISK_ADDR=0.0.0.0:3233 GOWHISK_METRICS_ADDR=0.0.0.0:8084
EXPOSE 3233 8084
ENTRYPOINT ["/controller"]
