"""What tests of whole processes need: servers, simulators, and clients that follow the rules."""
