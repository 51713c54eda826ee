"""The lab: the platform's real components on one machine, without containers and without root.

layout      where a lab keeps its files, and its ports
relay       its own network, as a process; network: reaching its ports
process     starting, finding and ending its processes
part        one program of it: how it is started, when it is ready
parts       what runs, with which flags; argocd: Argo CD's; redis: its cache
pki         its certificates and kubeconfig
bootstrap   what is in the cluster before Argo CD takes over
origin      its git repository: the working copy's commit plus the lab's own seals
externals   the git host and Slack's one endpoint, as a process
simulation  what EKS does and the lab has not, as a process
lab         up, down, status, push: all of the above put together
"""
