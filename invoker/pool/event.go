package pool

// Event is something that happened. Events about a container that is not in the
// state to which they belong are ignored.
type Event interface{ event() }

type (
	// Submit brings a job.
	Submit struct{ Job *Job }
	// Started: the container is ready for /init.
	Started struct{ Container ContainerID }
	// StartFailed: the container does not exist. A *container.StartError is the
	// fault of the action's owner, any other error the platform's.
	StartFailed struct {
		Container ContainerID
		Err       error
	}
	// Initialised: the container is warm for its action, while the job that
	// initialised it goes on.
	Initialised struct{ Container ContainerID }
	// Finished: a job's run has ended.
	Finished struct {
		Container    ContainerID
		ActivationID string
		Outcome      Outcome
	}
	// PauseDone ends a Pause, Err is why it failed.
	PauseDone struct {
		Container ContainerID
		Err       error
	}
	// ResumeDone ends a Resume, Err is why it failed.
	ResumeDone struct {
		Container ContainerID
		Err       error
	}
	// Removed: the container holds nothing any more.
	Removed struct{ Container ContainerID }
	// Tick says only that time has passed; due when Deadline comes.
	Tick struct{}
	// Drain refuses new jobs from now on and removes containers as they fall idle.
	// Waiting jobs still run, unless HandBack abandons them with ErrHandedBack.
	Drain struct{ HandBack bool }
)

func (Submit) event()      {}
func (Started) event()     {}
func (StartFailed) event() {}
func (Initialised) event() {}
func (Finished) event()    {}
func (PauseDone) event()   {}
func (ResumeDone) event()  {}
func (Removed) event()     {}
func (Tick) event()        {}
func (Drain) event()       {}
