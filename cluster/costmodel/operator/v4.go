package operator

// v4Attention is written in v4attention.go.
func (b *builder) v4Attention()  {}
func (b *builder) mergeStreams() {}
func (b *builder) joinStreams()  {}
