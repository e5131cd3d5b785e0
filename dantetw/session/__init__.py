"""
The story of a session.

- :mod:`.listener`: accepting clients at a port; :mod:`.ports`: all ports there are;
  :mod:`.leaving`: those that are let go; :mod:`.room`: how many descriptors are left for clients.
- :mod:`.protocol`: Twisted's side: the Factory that holds what all sessions share, and the Protocol
  a client negotiates with.
- :mod:`.session`: the story itself: accepted, admitted, negotiated, and at the other end its one
  end.
- :mod:`.record`: the facts of a session; :mod:`.context`: a policy, and what is made of it for all
  sessions that begin with it.
- :mod:`.subscribers`: what follows all sessions: beginnings, advances, ends.
- :mod:`.authenticating`: a login on the way.
- :mod:`.proving`: who the client is, where that takes asking others.
- :mod:`.requesting`: the middle of it: resolved, authorised, given to a command;
  :mod:`.outgoing`: our end of the way out; :mod:`.announcing`: where a client's datagrams are to
  come from; :mod:`.candidates`: the several addresses of a target.
- :mod:`.commands`: what a client can ask for, one file each; :mod:`.performing` is what a session
  knows of a command at work.
- :mod:`.answers`: facts that rules ask for: names, addresses, interfaces.
- :mod:`.control`: the connection of a client that has an association.
- :mod:`.judging`: what the rules say of datagrams; :mod:`.dropping`: those that are not relayed.
- :mod:`.parting`: a refusal that takes time; :mod:`.failing`: failures of the network, told.
- :mod:`.sensitive`: what texts about a session may hold of its client.
- :mod:`.accounting`: what is recorded at the end; :mod:`.tracing`: what ``debug`` tells on the way;
  :mod:`.reporting`: what SIGUSR1 shows of all; :mod:`.totals`: its totals; :mod:`.slices`: work
  that takes long, done a little at a time.
"""
