"""The one registry of reasons. A condition or an event can have no reason that is not here.

`docs/reasons.md` is generated from it. A reason names a fact; its `next_step` says what a person does about it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from secureai_operator.api.condition_types import ConditionType as C


class Severity(StrEnum):
    """How bad a reason is: for icons, alerts and the order in which `why` looks."""

    GOOD = "Good"
    PROGRESS = "Progress"
    WARNING = "Warning"
    ERROR = "Error"
    SECURITY = "Security"


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason with all that its documentation says; `conditions` are the types that may carry it (none: events only)."""

    name: str
    conditions: tuple[C, ...]
    severity: Severity
    meaning: str
    cause: str
    next_step: str

    def __str__(self) -> str:
        return self.name


REASONS: dict[str, Reason] = {}


def _reason(  # noqa: PLR0917 - a row of the table below
    name: str, conditions: tuple[C, ...], severity: Severity, meaning: str, cause: str, next_step: str
) -> Reason:
    reason = Reason(name, conditions, severity, meaning, cause, next_step)
    if REASONS.setdefault(name, reason) is not reason:
        raise ValueError(f"reason {name} is registered twice")
    return reason


_G, _P, _W, _E, _S = Severity.GOOD, Severity.PROGRESS, Severity.WARNING, Severity.ERROR, Severity.SECURITY
_NOTHING = "Nothing to do."
_CONCERNS = (
    C.IDENTITY_READY,
    C.KEY_READY,
    C.CERTIFICATE_READY,
    C.ACCESS_GRANTED,
    C.NETWORK_ISOLATED,
    C.CONFIDENTIAL_SCHEDULABLE,
    C.PODS_BOUND,
    C.ROTATION_ON_TRACK,
)
_ALL = (C.READY, *_CONCERNS)

# Summary ---------------------------------------------------------------------------------------------------
ALL_READY = _reason(
    "AllReady", (C.READY,), _G, "Everything declared is in place.", "All conditions hold.", _NOTHING
)
SETTLED = _reason(
    "Settled",
    (C.RECONCILING, C.STALLED),
    _G,
    "The operator has nothing left to do.",
    "The last pass finished.",
    _NOTHING,
)
PROGRESSING = _reason(
    "Progressing",
    (C.RECONCILING, C.VAULT_REACHABLE, C.DRIFT_DETECTED, *_ALL),
    _P,
    "The operator is working on it.",
    "A change was seen and is being carried out.",
    "Wait; it takes well under a second unless another condition says otherwise.",
)
RETRYING = _reason(
    "Retrying",
    (C.RECONCILING,),
    _P,
    "Something failed that may work later; the operator tries again by itself.",
    "See the condition that is not True.",
    "Look at the first condition that is not True, or run `secureai why NAME`.",
)
WAITING = _reason(
    "Waiting",
    (*_ALL,),
    _P,
    "This waits for another condition.",
    "What it needs is not there yet.",
    "Look at the condition named in the message.",
)
INVALID_SPEC = _reason(
    "InvalidSpec",
    (C.STALLED, *_ALL),
    _E,
    "The spec cannot be carried out as it is.",
    "A value that the API server could not check is wrong; the message names the field.",
    "Change the field and apply again.",
)
SUSPENDED = _reason(
    "Suspended",
    (C.READY, C.RECONCILING),
    _W,
    "The workload is left as it is.",
    "`spec.suspend` is true.",
    "Set `spec.suspend` to false.",
)
TERMINATING = _reason(
    "Terminating",
    (C.READY, C.RECONCILING),
    _P,
    "The workload is being deleted: its access is being revoked.",
    "The CR has a deletion timestamp.",
    "Wait; if Vault cannot be reached see VaultReachable.",
)
INTERNAL_ERROR = _reason(
    "InternalError",
    (C.STALLED, *_ALL),
    _E,
    "The operator itself failed on this workload.",
    "A defect of the operator; its log has the trace under the workload's name.",
    "Report it, with the output of `secureai status NAME -o json`.",
)

# Identity --------------------------------------------------------------------------------------------------
IDENTITY_ESTABLISHED = _reason(
    "IdentityEstablished",
    (C.IDENTITY_READY,),
    _G,
    "The ServiceAccount and its Vault role exist.",
    "Both were applied.",
    _NOTHING,
)
NAME_CONFLICT = _reason(
    "NameConflict",
    (*_ALL, C.STALLED),
    _E,
    "An object with the name that the operator needs exists and is not the workload's.",
    "Somebody made it, or it belongs to another controller.",
    "Delete or rename the object named in the message, or rename the workload.",
)
KUBERNETES_REFUSED = _reason(
    "KubernetesRefused",
    (*_ALL,),
    _E,
    "The API server does not accept an object of the workload.",
    "An admission policy, a quota or a rule of the cluster forbids it.",
    "Look at the policies and quotas of the namespace for the object named in the message.",
)
OPERATOR_FORBIDDEN = _reason(
    "OperatorForbidden",
    (*_ALL,),
    _E,
    "The operator's own identity lacks a right in Kubernetes.",
    "Its RBAC was changed or not installed.",
    "Apply manifests/base again, or run `secureai check`.",
)
KUBERNETES_UNAVAILABLE = _reason(
    "KubernetesUnavailable",
    (*_ALL,),
    _P,
    "The API server did not answer.",
    "It restarts, is overloaded, or the network is down.",
    "Wait; the operator tries again by itself.",
)

# Vault -----------------------------------------------------------------------------------------------------
VAULT_HEALTHY = _reason(
    "VaultHealthy",
    (C.VAULT_REACHABLE,),
    _G,
    "Vault answers and accepts the operator.",
    "The last look succeeded.",
    _NOTHING,
)
VAULT_UNREACHABLE = _reason(
    "VaultUnreachable",
    (C.VAULT_REACHABLE, *_ALL),
    _E,
    "Vault does not answer.",
    "It is down, or the network or its certificate keeps the operator away.",
    "Look at Vault and at the connection's address; the last good state stays and Kubernetes objects keep healing.",
)
VAULT_TIMEOUT = _reason(
    "VaultTimeout",
    (C.VAULT_REACHABLE, *_ALL),
    _E,
    "Vault takes too long to answer.",
    "It is overloaded, its storage is slow, or an audit device blocks it.",
    "Look at Vault's audit devices and storage.",
)
VAULT_SEALED = _reason(
    "VaultSealed",
    (C.VAULT_REACHABLE, *_ALL),
    _E,
    "Vault is sealed.",
    "It restarted without auto-unseal, or somebody sealed it.",
    "Unseal Vault; the operator goes on by itself.",
)
VAULT_NOT_INITIALIZED = _reason(
    "VaultNotInitialized",
    (C.VAULT_REACHABLE, *_ALL),
    _E,
    "Vault was never initialised.",
    "A new or emptied server.",
    "Initialise it and run `secureai vault bootstrap`.",
)
VAULT_RATE_LIMITED = _reason(
    "VaultRateLimited",
    (C.VAULT_REACHABLE, *_ALL),
    _W,
    "Vault limits the operator's requests.",
    "A rate limit quota of Vault is lower than the connection's requestsPerSecond.",
    "Raise the quota, or lower requestsPerSecond of the connection.",
)
VAULT_FORBIDDEN = _reason(
    "VaultForbidden",
    (C.VAULT_REACHABLE, *_ALL),
    _E,
    "Vault refuses the operator's requests.",
    "The operator's policy in Vault is missing or was changed.",
    "Run `secureai vault bootstrap` with an administrator's token.",
)
VAULT_LOGIN_FAILED = _reason(
    "VaultLoginFailed",
    (C.VAULT_REACHABLE, *_ALL),
    _E,
    "The operator cannot log in to Vault.",
    "Its auth role, the auth mount or Vault's access to the TokenReview API is missing.",
    "Run `secureai check`, then `secureai vault bootstrap`.",
)
VAULT_MOUNT_MISSING = _reason(
    "VaultMountMissing",
    (C.VAULT_REACHABLE, *_ALL),
    _S,
    "A mount that the connection names is not there in Vault. Its keys are not taken for lost.",
    "It was disabled or moved, or the connection names another.",
    "Look at Vault's mounts; if it was disabled its keys are gone: restore Vault from its backup before anything else.",
)
VAULT_REJECTED = _reason(
    "VaultRejected",
    (*_ALL,),
    _E,
    "Vault can never accept this request.",
    "The mount's configuration does not fit the spec, such as a TTL over the mount's maximum.",
    "Compare the spec with the mount's configuration; `secureai check` names differences.",
)
CONNECTION_NOT_CONFIGURED = _reason(
    "ConnectionNotConfigured",
    (C.VAULT_REACHABLE, C.STALLED, *_ALL),
    _E,
    "The workload names a Vault connection that the operator does not have.",
    "A typing error, or the platform team has not configured it.",
    "Use a configured connection; the message names the ones there are.",
)

# Keys ------------------------------------------------------------------------------------------------------
KEY_AVAILABLE = _reason(
    "KeyAvailable",
    (C.KEY_READY,),
    _G,
    "The key exists as declared and the data keys are wrapped by it.",
    "It was read back.",
    _NOTHING,
)
KEY_LOST = _reason(
    "KeyLost",
    (C.KEY_READY, C.STALLED, C.READY),
    _S,
    "The key existed and is gone from Vault. It is never made anew: a new key could not decrypt the old data.",
    "Somebody deleted it, or Vault was restored from an older backup.",
    "Restore the key from Vault's backup. To give the data up, delete the workload and make it again under another name.",
)
KEY_REPLACED = _reason(
    "KeyReplaced",
    (C.KEY_READY, C.STALLED, C.READY),
    _S,
    "The key in Vault is not the one that this workload had.",
    "Somebody deleted it and made another, or Vault was restored from an older backup.",
    "Restore the key from Vault's backup; nothing is encrypted with the new one.",
)
KEY_EXPOSED = _reason(
    "KeyExposed",
    (C.KEY_READY, C.READY),
    _S,
    "The key may have left Vault: exportable or allow_plaintext_backup was turned on, and Vault cannot turn it off.",
    "Somebody with rights on the key's configuration did it.",
    "Find out who (Vault's audit log); move the data to a new workload with a new key.",
)
IMMUTABLE_FIELD_DRIFT = _reason(
    "ImmutableFieldDrift",
    (C.KEY_READY, C.READY),
    _S,
    "A setting of the key that cannot be changed differs from the spec.",
    "The key was made by somebody else, with another type or derivation, before the workload.",
    "Use the key's own type in the spec, or another workload name.",
)
KEY_TYPE_CANNOT_WRAP = _reason(
    "KeyTypeCannotWrap",
    (C.KEY_READY, C.STALLED, C.READY),
    _E,
    "Data keys are declared with a key that only signs.",
    "`spec.keys.type` is an ECDSA or Ed25519 type.",
    "Remove `spec.keys.dataKeys` or use aes256-gcm96.",
)
DATA_KEY_LOST = _reason(
    "DataKeyLost",
    (C.KEY_READY, C.READY),
    _S,
    "A wrapped data key is gone from the Secret and from the status.",
    "Both were removed or overwritten.",
    "Restore the Secret from a backup; a new data key could not decrypt the old data.",
)
CUSTODY_MISMATCH = _reason(
    "CustodyMismatch",
    (C.KEY_READY, C.STALLED, C.READY),
    _E,
    "The connection's Vault and the declared custody do not go together.",
    "hold-your-own-key needs a connection that the platform team marked as a customer's own (`customerHeld`), and such a "
    "connection is for nothing else.",
    "Use the custody or the connection that the message names.",
)
CUSTOMER_LOCKED = _reason(
    "CustomerLocked",
    (C.IDENTITY_READY, C.KEY_READY, C.CERTIFICATE_READY, C.VAULT_REACHABLE, C.READY),
    _W,
    "The customer who holds the key has locked it: their Vault is sealed, or refuses the operator.",
    "The owner of the Vault behind a customer-held connection sealed it or took the operator's role away.",
    "Ask the customer. Everything stays as it last was, and goes on by itself when they unlock it.",
)

# Rotation --------------------------------------------------------------------------------------------------
KEY_VERSION_DESTROYED = _reason(
    "KeyVersionDestroyed",
    (C.KEY_READY, C.STALLED, C.READY),
    _S,
    "The version of the key that wraps a data key is destroyed. Nothing is rotated or retired any more.",
    "Somebody trimmed the key in Vault, or an old Secret was restored after its version was trimmed.",
    "Restore the key from Vault's backup, or a data key that a newer version wraps from the Secret's.",
)
AWAITING_KEY_MATERIAL = _reason(
    "AwaitingKeyMaterial",
    (C.KEY_READY, C.ROTATION_ON_TRACK, C.READY),
    _W,
    "Key material is due, and it is the customer's to bring.",
    "`spec.keys.custody` is customer-managed, and the key does not exist yet or a rotation is due.",
    "Import the version of the key that the message names, with `secureai key wrap` and `secureai key import`.",
)
NO_ROTATION_POLICY = _reason(
    "NoRotationPolicy",
    (C.ROTATION_ON_TRACK,),
    _G,
    "No KeyRotationPolicy selects the workload: its key rotates when somebody asks for it.",
    "No policy's selectors match its labels.",
    "Make a KeyRotationPolicy, if the key is to rotate by itself.",
)
ROTATION_SCHEDULED = _reason(
    "RotationScheduled",
    (C.ROTATION_ON_TRACK,),
    _G,
    "Nothing is due; the message says when the key rotates next.",
    "The last rotation is younger than the policy's schedule.",
    _NOTHING,
)
ROTATION_PENDING = _reason(
    "RotationPending",
    (C.ROTATION_ON_TRACK,),
    _P,
    "A rotation is due and waits for its turn.",
    "The policy's `limits` let so many rotate at once, or its windows are closed.",
    "Nothing to do, unless it takes longer than the limits explain.",
)
ROTATION_UNDER_WAY = _reason(
    "RotationUnderWay",
    (C.ROTATION_ON_TRACK,),
    _P,
    "The key rotates now.",
    "It was due, or somebody asked for it.",
    _NOTHING,
)
ROTATION_MISSED = _reason(
    "RotationMissed",
    (C.ROTATION_ON_TRACK,),
    _W,
    "A rotation could not start in time and waits for the next scheduled time.",
    "The operator or Vault was away, or the windows were closed, for longer than `schedule.startingDeadline`.",
    "Ask for a rotation (`secureai rotate`) if the key should not wait, or give the schedule more time.",
)
ROTATION_RESTS = _reason(
    "RotationRests",
    (C.ROTATION_ON_TRACK,),
    _W,
    "The policy that rules the workload starts no rotations.",
    "It is suspended, on dry run, or its schedule names no time any more.",
    "Look at the policy that the message names.",
)
ROTATION_REFUSED = _reason(
    "RotationRefused",
    (C.ROTATION_ON_TRACK,),
    _E,
    "Vault refuses a step of the rotation.",
    "The key's settings in Vault, or the operator's rights there, do not allow it.",
    "Look at the key in Vault, and run `secureai check`; it is tried again by itself.",
)
DATA_KEYS_FULL = _reason(
    "DataKeysFull",
    (C.ROTATION_ON_TRACK,),
    _W,
    "There are so many earlier data keys that no new ones are made.",
    "Each rotation of the data keys keeps the earlier ones, for what they encrypted.",
    "Move the data to a new workload, or rotate the key that wraps them instead: that needs no new data keys.",
)
KEY_ARCHIVE_FULL = _reason(
    "KeyArchiveFull",
    (C.ROTATION_ON_TRACK,),
    _W,
    "The key has so many versions that Vault could not store another one: it does not rotate any more.",
    "Vault keeps all versions of a key in one entry of its storage, which is limited.",
    "Let old versions retire and be destroyed (`retire.trim`), or rotate less often.",
)
RETIRE_ROLE_MISSING = _reason(
    "RetireRoleMissing",
    (C.ROTATION_ON_TRACK,),
    _W,
    "Versions are to be destroyed, and the operator has no identity in Vault that may.",
    "The policy says `retire.trim: true`, and the connection has no `retireRole`.",
    "Have the platform team configure `retireRole`, or set `retire.trim: false`.",
)
RETIREMENT_UNPROVEN = _reason(
    "RetirementUnproven",
    (C.ROTATION_ON_TRACK,),
    _W,
    "An old version cannot retire: nothing proves that it is out of use.",
    "A data key is still wrapped by it, could not be read, or there is none that could tell.",
    "See the message; a version that is in use stays, which harms nothing.",
)
RETIREMENT_ROLLED_BACK = _reason(
    "RetirementRolledBack",
    (C.ROTATION_ON_TRACK,),
    _W,
    "Old versions had retired and were needed: they decrypt again, and no version retires until asked for.",
    "Something that the operator does not know of was encrypted with them.",
    "Have the workload encrypt that anew, then ask for the retirement again (`secureai rotate --retry-retirement`).",
)
ACCESS_WITHDRAWN = _reason(
    "AccessWithdrawn",
    (C.IDENTITY_READY, C.READY),
    _S,
    "The workload's access to Vault is withdrawn while an emergency rotation is under way.",
    "Somebody asked for it; `status.emergency` says by which request, and how far it is.",
    "Wait for it to end. If it does not go on, the other conditions say why.",
)
KEY_ROTATED = _reason(
    "KeyRotated",
    (),
    _G,
    "The key rotated and every data key is wrapped by its new version.",
    "It was due, somebody asked for it, or somebody did it in Vault.",
    _NOTHING,
)
VERSIONS_RETIRED = _reason(
    "VersionsRetired",
    (),
    _G,
    "Old versions of the key decrypt no more.",
    "Their grace period was over and nothing is wrapped by them.",
    "If something still needs them, report it (annotation secureai.dev/decrypt-failed) while they are on trial.",
)
VERSIONS_DESTROYED = _reason(
    "VersionsDestroyed",
    (),
    _W,
    "Retired versions of the key are destroyed for ever.",
    "The policy says `retire.trim: true`.",
    _NOTHING,
)
DATA_KEYS_ROTATED = _reason(
    "DataKeysRotated",
    (),
    _G,
    "New data keys were made; the earlier ones stay in the Secret under their name with a number.",
    "Somebody asked for it.",
    "Encrypt what is still under the earlier data keys anew, in the workload.",
)
ROLLOUT_RESTARTED = _reason(
    "RolloutRestarted",
    (),
    _G,
    "What runs the workload's pods was told to replace them.",
    "Data keys rotated, or an emergency rotation was asked for.",
    _NOTHING,
)
EMERGENCY_STARTED = _reason(
    "EmergencyStarted",
    (),
    _S,
    "An emergency rotation began: the workload's access to Vault is withdrawn first.",
    "Somebody asked for it.",
    "Watch `status.emergency`.",
)
EMERGENCY_FINISHED = _reason(
    "EmergencyFinished",
    (),
    _S,
    "An emergency rotation is over and access is restored.",
    "Every step was done, or could not be; `status.emergency` says which.",
    "Look for steps that were skipped, and why.",
)
POLICY_ACTIVE = _reason(
    "PolicyActive",
    (C.READY,),
    _G,
    "The policy rules the workloads that it selects.",
    "Its schedule names a time, and it is not suspended.",
    _NOTHING,
)
POLICY_SELECTS_NOTHING = _reason(
    "PolicySelectsNothing",
    (C.READY,),
    _W,
    "The policy selects no workload, or other policies rule all that it selects.",
    "Its selectors match no labels, or its priority is the lower one.",
    "Compare `spec.selector` with the labels of the SecureAIWorkloads; `status.maskedBy` names the other policies.",
)
POLICY_RESTS = _reason(
    "PolicyRests",
    (C.READY,),
    _W,
    "The policy starts no rotations; what is under way goes on.",
    "`spec.suspend` or `spec.dryRun` is true.",
    "Set it to false again; `status.dryRun` says what would happen.",
)
ROTATIONS_FAILING = _reason(
    "RotationsFailing",
    (C.READY,),
    _W,
    "Rotations of some of the selected workloads cannot go on.",
    "Their own condition RotationOnTrack says why.",
    "Look at the workloads that `secureai keys` marks.",
)

# Certificates ----------------------------------------------------------------------------------------------
CERTIFICATE_ISSUED = _reason(
    "CertificateIssued",
    (C.CERTIFICATE_READY,),
    _G,
    "A valid certificate is in its Secret.",
    "It was verified against the CA.",
    _NOTHING,
)
CERTIFICATE_NOT_REQUESTED = _reason(
    "CertificateNotRequested",
    (C.CERTIFICATE_READY,),
    _G,
    "No certificate is asked for.",
    "`spec.certificate.delivery` is None.",
    _NOTHING,
)
CERTIFICATE_EXPIRED = _reason(
    "CertificateExpired",
    (C.CERTIFICATE_READY, C.READY),
    _E,
    "The certificate has expired and could not be renewed.",
    "Vault was not reachable for a third of its lifetime, or the operator did not run.",
    "See VaultReachable; it is renewed as soon as Vault answers.",
)

# Access ----------------------------------------------------------------------------------------------------
ACCESS_GRANTED = _reason(
    "RulesGranted",
    (C.ACCESS_GRANTED,),
    _G,
    "The declared rules, and nothing else, are granted.",
    "Role and RoleBinding were applied.",
    _NOTHING,
)
NO_ACCESS_REQUESTED = _reason(
    "NoAccessRequested",
    (C.ACCESS_GRANTED,),
    _G,
    "The workload has no rights in the Kubernetes API.",
    "No rules are declared.",
    _NOTHING,
)
BEYOND_CEILING = _reason(
    "BeyondCeiling",
    (C.ACCESS_GRANTED, C.STALLED, C.READY),
    _E,
    "A declared rule is more than the platform lets any workload have.",
    "The ClusterRole secureai-grant-ceiling does not hold it.",
    "Remove the rule, or ask the platform team to add it to the ceiling.",
)
ROLE_NOT_FOUND = _reason(
    "RoleNotFound",
    (C.ACCESS_GRANTED, C.READY),
    _E,
    "A role named in roleRefs does not exist.",
    "A typing error, or it was deleted.",
    "Create the role or correct the name.",
)

# Network ---------------------------------------------------------------------------------------------------
NETWORK_POLICIES_APPLIED = _reason(
    "PoliciesApplied",
    (C.NETWORK_ISOLATED,),
    _G,
    "Default deny both ways with the declared peers is in place.",
    "The NetworkPolicies were applied.",
    _NOTHING,
)
AUDIT_ONLY = _reason(
    "AuditOnly",
    (C.NETWORK_ISOLATED, C.PODS_BOUND),
    _W,
    "Nothing that runs is touched.",
    "`spec.enforcement` is Audit.",
    "Set `spec.enforcement` to Enforce when what the status shows is what you want.",
)

# Placement -------------------------------------------------------------------------------------------------
SCHEDULABLE = _reason(
    "Schedulable",
    (C.CONFIDENTIAL_SCHEDULABLE,),
    _G,
    "Nodes that fulfil the placement exist.",
    "Labels, runtime class and resources were found.",
    _NOTHING,
)
PLACEMENT_OFF = _reason(
    "PlacementOff",
    (C.CONFIDENTIAL_SCHEDULABLE,),
    _W,
    "The workload may run on any node.",
    "`spec.confidential.mode` is Off.",
    "Set it to Required if the workload is to run on TDX only.",
)
NO_TDX_NODES = _reason(
    "NoTDXNodes",
    (C.CONFIDENTIAL_SCHEDULABLE, C.READY),
    _E,
    "No schedulable node carries the labels of a TDX node.",
    "The cluster has none, node-feature-discovery does not run, or they are cordoned.",
    "Add TDX nodes or run node-feature-discovery; or set `spec.confidential.mode` to Preferred.",
)
RUNTIME_CLASS_MISSING = _reason(
    "RuntimeClassMissing",
    (C.CONFIDENTIAL_SCHEDULABLE, C.READY),
    _E,
    "The runtime class that the placement needs does not exist.",
    "Kata Containers is not deployed, or its class has another name.",
    "Deploy it, or name the class in `spec.confidential.runtimeClassName`.",
)
KEYS_EXHAUSTED = _reason(
    "KeysExhausted",
    (C.CONFIDENTIAL_SCHEDULABLE, C.READY),
    _E,
    "All TDX keys of the nodes are in use.",
    "Each TD takes one of tdx.intel.com/keys.",
    "Add TDX nodes or stop other TDs.",
)
GPU_NOT_CC_READY = _reason(
    "GpuNotCcReady",
    (C.CONFIDENTIAL_SCHEDULABLE, C.READY),
    _E,
    "No TDX node has GPUs in confidential-computing mode and ready.",
    "The mode is off or in transition.",
    "Set the node label nvidia.com/cc.mode to on and wait for nvidia.com/cc.ready.state.",
)
PLATFORM_UNSUPPORTED = _reason(
    "PlatformUnsupported",
    (C.CONFIDENTIAL_SCHEDULABLE, C.STALLED, C.READY),
    _E,
    "The platform has no preset for what is asked.",
    "A confidential GPU is asked for on a platform without one.",
    "Choose another platform or leave the GPU out.",
)

# Pods ------------------------------------------------------------------------------------------------------
PODS_BOUND = _reason(
    "AllPodsBound",
    (C.PODS_BOUND,),
    _G,
    "Every pod of the workload runs under it.",
    "All pods have its ServiceAccount and volumes.",
    _NOTHING,
)
NO_PODS = _reason(
    "NoPods",
    (C.PODS_BOUND,),
    _G,
    "The workload has no pods yet.",
    "No pod matches its selector.",
    "Label the pod template with secureai.dev/workload: NAME.",
)
PODS_UNBOUND = _reason(
    "PodsUnbound",
    (C.PODS_BOUND, C.READY),
    _W,
    "Pods of the workload run without its protection.",
    "They were created before the workload or its last change.",
    "Under enforcement Enforce they are replaced one by one if a controller owns them; delete the others yourself.",
)
PODS_CLAIMED_TWICE = _reason(
    "PodsClaimedTwice",
    (C.PODS_BOUND, C.STALLED, C.READY),
    _E,
    "Another, older workload of the namespace claims the same pods.",
    "The two pod selectors overlap.",
    "Change `spec.podSelector` of one of them.",
)

# Drift and security events ---------------------------------------------------------------------------------
NO_DRIFT = _reason(
    "NoDrift",
    (C.DRIFT_DETECTED,),
    _G,
    "Nobody else changed what the operator owns.",
    "The last look found no difference.",
    _NOTHING,
)
DRIFT_HEALED = _reason(
    "DriftHealed",
    (C.DRIFT_DETECTED,),
    _W,
    "Somebody else's change was undone.",
    "See `status.lastDrift`.",
    "Find out who changed it; change the CR instead.",
)
DRIFT_REPORTED = _reason(
    "DriftReported",
    (C.DRIFT_DETECTED, *_ALL),
    _W,
    "Somebody else's change stands.",
    "`spec.driftPolicy` is Warn.",
    "Undo the change, or set `spec.driftPolicy` to Heal.",
)
DRIFT_CONTENDED = _reason(
    "DriftContended",
    (C.DRIFT_DETECTED,),
    _E,
    "Something keeps changing the same object back; the operator slows down.",
    "Another controller manages it too.",
    "Find the other field manager of the object named in the message and stop it.",
)
DELETION_ENABLED = _reason(
    "KeyDeletionEnabled",
    (),
    _S,
    "Somebody allowed the deletion of the key; the operator turned it off again.",
    "deletion_allowed was set in Vault.",
    "Find out who (Vault's audit log).",
)
ACCESS_REVOKED = _reason(
    "AccessRevoked",
    (),
    _G,
    "The workload was deleted and its access in Vault is revoked.",
    "The finalizer did its work.",
    _NOTHING,
)
KEY_RETAINED = _reason(
    "KeyRetained",
    (),
    _G,
    "The workload was deleted and its key stays in Vault.",
    "`spec.deletionPolicy` is Retain, or the platform does not allow Destroy.",
    "Delete the key in Vault when the data is no longer needed.",
)
KEY_DESTROYED = _reason(
    "KeyDestroyed",
    (),
    _W,
    "The workload was deleted and its key destroyed.",
    "`spec.deletionPolicy` is Destroy and the platform allows it.",
    _NOTHING,
)
ORPHANED = _reason(
    "Orphaned",
    (),
    _E,
    "The workload was let go although its access in Vault could not be revoked.",
    "Its namespace was being deleted, or force-delete was asked for, while Vault did not answer.",
    "Delete what the orphan report in the operator's namespace names.",
)
POD_REPLACED = _reason(
    "PodReplaced",
    (),
    _W,
    "A pod that had escaped the binding was evicted, for its controller to make a bound one.",
    "It was created before the workload or its last change.",
    _NOTHING,
)
