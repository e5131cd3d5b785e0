"""
A session, from the arrival of its client to its one end.

In the order in which they import each other:

- :mod:`.record`: the facts of a session; :mod:`.sensitive`: which of them must not stand in some
  logs; :mod:`.context`: a policy, and what is made of it for all sessions that begin with it.
- :mod:`.activity`: a command at work, as a session sees it; :mod:`.subscribers`: what follows all
  sessions: beginnings, advances, ends.
- :mod:`.services`: what all sessions of a process share, such as :mod:`.rulefacts`, facts that
  rules depend on; :mod:`.descriptors`, the budget of file descriptors; :mod:`.delayedclose`.
- :mod:`.view`: a session as functions see it that do not drive it: :mod:`.failures`, which logs
  failures of the network, and :mod:`.tracing`, which logs the steps with ``debug``.
- :mod:`.authentication`: who the client is, where that takes checks beyond the negotiation.
- :mod:`.session`: what a session holds and waits for, how it answers, and how it ends.
- The stages: :mod:`.login`; :mod:`.request`, which carries out what :mod:`dantetw.plan` decides
  about a request; :mod:`.source`: our address towards a target.
- :mod:`.commands`: what a client can ask for, one file each; :mod:`.control`: the connection of a
  client that has an association; :mod:`.datagramplans`: what the rules say of datagrams;
  :mod:`.dropping`: those that are not relayed.
- :mod:`.clientsession`: what drives a session from stage to stage.
- :mod:`.protocol`: Twisted's side: the Factory that makes sessions, and the Protocol that clients
  negotiate with.
- :mod:`.listener`: accepting clients at a port; :mod:`.ports`: all ports there are;
  :mod:`.drain`: those that are closed.
- :mod:`.reporting`: the part of a status report about sessions; :mod:`.totals`: its totals;
  :mod:`.slices`: work that takes long, done a little at a time.
"""
