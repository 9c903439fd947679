"""The embedded W&B-compatible server: app > graphql, filestream, pages > board > store."""
