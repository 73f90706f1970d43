package cli

import (
	"context"
	"errors"
	"fmt"

	"jangbu/projector"
	"jangbu/query/row"
	"jangbu/query/view"
)

type auditMode struct {
	rebuildFlags
	View   viewArg `arg:"" help:"View to audit."`
	Repair bool    `help:"Switch to what the log folds to, if documents differ or could not be compared." env:"JANGBU_AUDIT_REPAIR"`
	Sample *int    `help:"Audit only so many documents, drawn at random." env:"JANGBU_AUDIT_SAMPLE" placeholder:"N"`
}

func (auditMode) Help() string {
	return `
Folds the whole log into a generation of its own, beside the live one, and compares the two, document by document; then drops what it has built. Where documents differ, the first ones are printed as a diff (- live, + what the log folds to) and the exit code is 3. With --repair it switches to what it has built instead, and the exit code is 0. A document that changes all the time is compared when it has stood still for a moment; where none comes within 30 s, and it has not agreed either, it is not known to be right: the result says how many there are, the exit code is 1, and --repair switches. A generation that a replay has left open (--no-switch, or drift) is given up for it.

--sample N is for now and then: it draws N documents of the live generation, reads the streams that each has rows of from the log, and folds them in memory. It cannot notice a document that is missing, nor a stream that never arrived; and it leaves out documents that more than 1,000 streams contribute to. What differs, a full audit can repair.

Examples:

    jangbu audit orders
    jangbu audit orders --sample 100
    jangbu audit orders --repair
    jangbu audit orders --json | jq '.[0].drift.documents'
`
}

// Validate implements kong.Validatable.
func (m *auditMode) Validate() error {
	switch {
	case m.Sample != nil && *m.Sample < 1:
		return errors.New("--sample must be 1 or more")
	case m.Sample != nil && m.Repair:
		return errors.New("--repair needs the whole audit: leave out --sample")
	}
	return nil
}

// Run audits until it is done or ctx ends.
func (m *auditMode) Run(ctx context.Context, a *app) error {
	v := m.View.view()
	err := m.rebuild(ctx, a, []*view.View{v}, projector.ReplayConfig{}, func(r *projector.Replay) ([]projector.Result, error) {
		audit := func() (projector.Result, error) { return r.Audit(ctx, v, m.Repair) }
		if m.Sample != nil {
			audit = func() (projector.Result, error) { return r.Sample(ctx, v, *m.Sample) }
		}
		result, err := audit()
		return []projector.Result{result}, err
	})
	var drift *projector.DriftError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &drift):
		return &failure{exitDrift, fmt.Errorf("%w; mend it with jangbu audit %s --repair", err, v.Name)}
	case errors.Is(err, projector.ErrRestless):
		return fmt.Errorf("%w; switch to what the log folds to, whatever it is, with jangbu audit %s --repair, or audit it at a quieter hour",
			err, v.Name)
	case ctx.Err() != nil:
		return &failure{exitInterrupted, fmt.Errorf("interrupted; nothing was changed: run jangbu audit %s again", v.Name)}
	case errors.Is(err, row.ErrBusy):
		return fmt.Errorf("%w; wait for it, or run this again then", err)
	}
	return err
}
