package kafka

import (
	"crypto/sha256"
	"crypto/sha512"

	"github.com/IBM/sarama"
	"github.com/xdg-go/scram"
)

// scramConversation proves a password to a broker without sending it.
type scramConversation struct {
	hash         scram.HashGeneratorFcn
	conversation *scram.ClientConversation
}

func scramClient(m sarama.SASLMechanism) func() sarama.SCRAMClient {
	hash := scram.HashGeneratorFcn(sha256.New)
	if m == sarama.SASLTypeSCRAMSHA512 {
		hash = sha512.New
	}
	return func() sarama.SCRAMClient { return &scramConversation{hash: hash} }
}

// Begin implements sarama.SCRAMClient.
func (c *scramConversation) Begin(user, password, authzID string) error {
	client, err := c.hash.NewClient(user, password, authzID)
	if err != nil {
		return err
	}
	c.conversation = client.NewConversation()
	return nil
}

// Step implements sarama.SCRAMClient.
func (c *scramConversation) Step(challenge string) (string, error) {
	return c.conversation.Step(challenge)
}

// Done implements sarama.SCRAMClient.
func (c *scramConversation) Done() bool { return c.conversation.Done() }
