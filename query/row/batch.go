package row

// Batch is what the only writer of a new generation writes at once. All of it is absolute, so that putting it twice does what
// putting it once does.
type Batch struct {
	Rows   []Placed
	Docs   []Put
	Refs   []Ref
	States []Save
}

// Placed is a row, or a withdrawal, as it now stands in a document.
type Placed struct {
	Doc string
	Sourced
	Was   *Row // what stood there of the same source, nil for nothing
	First bool // the source has placed nothing before, so nothing of it can be in the way
}

// Put is a document as its rows add up to it. What is neither in it nor gone stays as it is.
type Put struct {
	Doc       string
	Version   int64
	Parts     []Sourced        // of these sources; of two from one source the later stands
	GoneParts []string         // sources
	Sums      map[string]int64 // none is zero
	GoneSums  []string         // names
	Composed  bool             // Body is its composed form, nil where readers shall find nothing
	Body      []byte
}

// Save is a state that is to be saved as the JSON of State; nil for one that is not kept.
type Save struct {
	Stream   string
	Revision int64
	Skips    int // as of a Sourced
	State    any
}

// Ref notes that a document shows the shared part of a stream.
type Ref struct{ Stream, Doc string }
