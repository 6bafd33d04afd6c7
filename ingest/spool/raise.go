package spool

import "fmt"

// Raise makes the spool go on above an offset that the log already holds of this node:
// the folder is older than the log, and went on giving out offsets that are taken. What
// was accepted since the start is written anew above both; its old offsets, and all
// up to the new ones, are unreadable from then on, so that the log is asked for
// them. It returns that range, and an empty one (First 0) where the folder is not
// behind. Call it before anything that was accepted since the start is forwarded.
// Appends wait for it.
//
// A crash before the new segment has its name leaves the old state, and the next
// call does it all; after it, older segments end where the new one begins.
func (s *Spool) Raise(above uint64) (Span, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.usable(); err != nil {
		return Span{}, err
	}
	if err := s.settle(); err != nil {
		return Span{}, fmt.Errorf("raise spool: %w", err)
	}
	s.mu.Lock()
	first, next := s.held+1, s.next
	s.mu.Unlock()
	if above < first {
		return Span{}, nil
	}
	begin := max(above+1, next)
	if begin-first > 1<<31 {
		return Span{}, fmt.Errorf("raise spool: it ends at offset %d and the log at %d, which is too far; give the node a new name", next-1, above)
	}
	st, err := s.stage()
	if err != nil {
		return Span{}, fmt.Errorf("raise spool: %w", err)
	}
	defer st.Abort()
	st.jump, st.free = uint32(begin-first), true // what was acknowledged is kept, also beyond the quota
	st.add(frame{kind: kindGap, synced: st.jump})
	err = s.Read(first, func(_ uint64, payload []byte) error { return st.Append(payload) })
	if err == nil {
		err = st.finish()
	}
	if err != nil {
		return Span{}, fmt.Errorf("raise spool: %w", err)
	}
	s.seal()
	if err := st.commit(first); err != nil {
		return Span{}, fmt.Errorf("raise spool: %w", err)
	}
	gap := Span{first, begin - 1}
	s.mu.Lock()
	s.held = s.next - 1
	s.missing = s.missing.add(gap).without(s.lost).without(s.void)
	s.mu.Unlock()
	s.log.Error("the spool is older than the log", "first", gap.First, "last", gap.Last, "accepted_again", st.count)
	return gap, nil
}
