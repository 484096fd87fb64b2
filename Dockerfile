# The service and the command-line tool in one image.
#
#   docker build --build-arg BUILD_ID="$(git rev-parse --short=12 HEAD)" -t dltrigger .
#   docker run --rm -v dltrigger:/data dltrigger dltrigger keys create --help
#   docker run -d -p 8080:8080 -v dltrigger:/data -v /my/root/files:/events:ro --stop-timeout 45 dltrigger
#
# Without an API key the service listens on the container's loopback only, so create the first key before publishing
# the port.  --stop-timeout: a graceful end waits for running requests.

FROM debian:12-slim AS build
WORKDIR /src
COPY deploy/deps.sh deploy/packages.txt deploy/
RUN sh deploy/deps.sh build && rm -rf /var/lib/apt/lists/*
COPY Makefile ./
COPY core core
COPY server server
COPY api api
COPY migrations migrations
ARG BUILD_ID=unknown
# The Makefile also lists the sources of the tests, which the image does without.
RUN mkdir -p tests/core tests/server tests/support tests/fuzz tests/bench \
    && make -j"$(nproc)" BUILD_ID="$BUILD_ID" all \
    && make BUILD_ID="$BUILD_ID" DESTDIR=/out install

FROM debian:12-slim
COPY deploy/deps.sh deploy/packages.txt /usr/share/dltrigger/deploy/
RUN sh /usr/share/dltrigger/deploy/deps.sh run \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin dltrigger \
    && install -d -o dltrigger -g dltrigger -m 750 /data \
    && install -d -m 755 /events
COPY LICENSE /usr/share/doc/dltrigger/
COPY --from=build /out/usr/local/bin/ /usr/local/bin/
USER dltrigger
WORKDIR /data
VOLUME /data
EXPOSE 8080
# bash speaks TCP itself, so the image needs no HTTP client.
HEALTHCHECK --interval=15s --timeout=5s --start-period=10s --retries=3 \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8080 && printf 'GET /healthz HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' >&3 && IFS= read -r line <&3 && [[ $line == 'HTTP/1.1 200 '* ]]"]
CMD ["dltriggerd", "--data-dir", "/data", "--data-root", "/events", "--listen", "0.0.0.0:8080"]
