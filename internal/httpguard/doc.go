// Package httpguard keeps servers that have no password from being used by pages
// of others, and any server from drowning in connections.
package httpguard
