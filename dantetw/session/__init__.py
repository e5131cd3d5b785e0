"""
A session, from the arrival of its client to its one end.

In the order in which they import each other:

- :mod:`.record`: the facts of a session; :mod:`.sensitive`: those that some logs must not contain;
  :mod:`.context`: a policy with the objects built for it, shared by its sessions.
- :mod:`.activity`: the interface of a command; :mod:`.subscribers`: observers of all sessions:
  beginnings, advances, ends.
- :mod:`.services`: what all sessions of a process share, such as :mod:`.rulefacts`, facts that
  rules depend on; :mod:`.descriptors`, the budget of file descriptors; :mod:`.delayedclose`.
- :mod:`.view`: the part of a session that other functions see, such as those of :mod:`.failures`,
  which logs failures of the network, and :mod:`.tracing`, which logs the steps with ``debug``.
- :mod:`.authentication`: checks of the client's identity beyond the negotiation.
- :mod:`.session`: what a session holds and waits for, how it answers, and how it ends.
- The stages: :mod:`.login`; :mod:`.request`, which carries out what :mod:`dantetw.plan` decides
  about a request; :mod:`.source`: our address towards a target.
- :mod:`.commands`: what a client can ask for, one file each; :mod:`.control`: the connection of a
  client that has an association; :mod:`.datagramplans`: decisions about datagrams;
  :mod:`.drops`: counts and logs datagrams that are not relayed.
- :mod:`.clientsession`: drives a session from stage to stage.
- :mod:`.protocol`: Twisted's side: the Factory that makes sessions, and the Protocol that clients
  negotiate with.
- :mod:`.listener`: accepting clients at a port; :mod:`.ports`: all listening ports; :mod:`.drain`:
  ports being closed.
- :mod:`.pages`: the part of a status report about sessions; :mod:`.totals`: its totals;
  :mod:`.slices`: long work, done in short slices.
"""
