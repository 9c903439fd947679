"""The GraphQL endpoint: our schema file, and resolvers that translate between it and the store."""
