# Images of Millrace.
#   docker build --target operator -t millrace/operator:0.1.0 .
#   docker build --target agent    -t millrace/agent:0.1.0 .
# Both run as user 65532 and write nothing to their root file system.

FROM debian:12 AS builder
WORKDIR /src
COPY scripts/packages.sh scripts/packages.sh
RUN scripts/packages.sh build && rm -rf /var/lib/apt/lists/*
COPY CMakeLists.txt CMakePresets.json ./
COPY cmake cmake
COPY common common
COPY engine engine
COPY agent agent
COPY operator operator
COPY cli cli
ARG JOBS=2
RUN cmake --preset release -DMILLRACE_BUILD_BENCH=OFF \
  && cmake --build build/release --target millrace-operator millrace-agent --parallel "$JOBS" \
  && for program in millrace-operator millrace-agent; do \
       install -s -D "$(find build/release -type f -name "$program")" "/out/$program" || exit 1; \
     done

FROM debian:12-slim AS runtime
COPY scripts/packages.sh /tmp/packages.sh
RUN /tmp/packages.sh run && rm -rf /tmp/packages.sh /var/lib/apt/lists/* /var/cache/apt/* /var/log/*
LABEL org.opencontainers.image.licenses="Apache-2.0"
WORKDIR /
USER 65532:65532

FROM runtime AS operator
LABEL org.opencontainers.image.title="millrace-operator"
COPY --from=builder /out/millrace-operator /usr/bin/millrace-operator
# Metrics, and health.
EXPOSE 8080 8081
ENTRYPOINT ["/usr/bin/millrace-operator"]

FROM runtime AS agent
LABEL org.opencontainers.image.title="millrace-agent"
COPY --from=builder /out/millrace-agent /usr/bin/millrace-agent
# The OpenAI API; the operator tells the agent the other ports.
EXPOSE 8000
ENTRYPOINT ["/usr/bin/millrace-agent"]
