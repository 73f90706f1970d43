# One static binary and the CA certificates: every service is this image with another mode.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags="-s -w" -o /out/jangbu .

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/jangbu /jangbu
USER 65532:65532
ENTRYPOINT ["/jangbu"]
CMD ["--help"]
