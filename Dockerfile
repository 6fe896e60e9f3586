# syntax=docker/dockerfile:1
# One image for every service, which SERVICE selects. For both architectures:
#   docker buildx build --platform linux/amd64,linux/arm64 .

# To build on a fixed base: --build-arg BASE=node:24-bookworm-slim@sha256:...
ARG BASE=node:24-bookworm-slim

# The output is the same for every architecture, so it runs on the builder's own.
FROM --platform=$BUILDPLATFORM ${BASE} AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN --mount=type=cache,target=/root/.npm npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY scripts/copy-assets.ts ./scripts/
COPY src ./src
RUN npm run build -- --sourceMap false

FROM ${BASE} AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
RUN --mount=type=cache,target=/root/.npm npm ci --omit=dev --ignore-scripts --no-audit --no-fund
COPY deploy/image/prune.sh ./
RUN ./prune.sh node_modules

FROM ${BASE}
# No packages are installed at run time.
RUN rm -rf /usr/local/lib/node_modules /usr/local/bin/npm /usr/local/bin/npx /usr/local/bin/corepack \
      /usr/local/bin/yarn /usr/local/bin/yarnpkg /opt/yarn-* \
    # Mount points: a new volume gets their owner.
    && install -d -o 1000 -g 1000 /keys /data
WORKDIR /app
COPY --from=dependencies /app/node_modules ./node_modules
COPY package.json LICENSE ./
COPY deploy/image/healthcheck.js ./
COPY docs/openapi.json ./docs/openapi.json
COPY drizzle ./drizzle
COPY --from=build /app/dist ./dist

ENV NODE_ENV=production \
    KEYS_DIR=/keys \
    DATA_DIR=/tmp/orderhub
USER 1000:1000
EXPOSE 5000-5005 9464
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --start-interval=3s --retries=3 CMD ["node", "healthcheck.js"]
CMD ["node", "dist/main.js"]

# Last, because they change with each build.
ARG VERSION=0.0.0-dev
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="OrderHub" \
      org.opencontainers.image.description="Order platform: users, products, orders, notifications, audit trail and a gateway" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.source="https://github.com/orderhub/orderhub" \
      org.opencontainers.image.url="https://github.com/orderhub/orderhub" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
