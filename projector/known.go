package projector

import "hash/maphash"

// known is a set of names that takes 8 to 16 bytes a name. It may take a name for one that it holds, about once in 2^64/names;
// whoever asks must not be harmed by that. The zero known is empty; it is for one goroutine.
type known struct {
	hashes []uint64 // open addressing; 0 is a free slot
	used   int
}

var knownSeed = maphash.MakeSeed()

func (k *known) hash(name string) uint64 { return max(1, maphash.String(knownSeed, name)) }

// slot is where a hash is, or would be put.
func (k *known) slot(hash uint64) int {
	at := int(hash & uint64(len(k.hashes)-1))
	for k.hashes[at] != 0 && k.hashes[at] != hash {
		at = (at + 1) & (len(k.hashes) - 1)
	}
	return at
}

func (k *known) has(name string) bool {
	hash := k.hash(name)
	return k.used > 0 && k.hashes[k.slot(hash)] == hash
}

func (k *known) add(name string) {
	if 4*(k.used+1) > 3*len(k.hashes) {
		held := k.hashes
		k.hashes = make([]uint64, max(1024, 2*len(held)))
		for _, h := range held {
			if h != 0 {
				k.hashes[k.slot(h)] = h
			}
		}
	}
	hash := k.hash(name)
	if at := k.slot(hash); k.hashes[at] == 0 {
		k.hashes[at] = hash
		k.used++
	}
}
