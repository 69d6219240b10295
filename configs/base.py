"""The keys every experiment has, and what they mean; a config sets the ones that differ and is then locked.

A duration is a dict {steps, epochs, examples} of which exactly one is above zero.
"""

import ml_collections

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # of ImageNet in 0 ... 255, R G B


def duration(*, steps: int = 0, epochs: float = 0.0, examples: int = 0) -> ml_collections.ConfigDict:
  """Set one; to give another on the command line, set it to 0: --config.duration.epochs=0 --config.duration.steps=9."""
  return ml_collections.ConfigDict({"steps": steps, "epochs": float(epochs), "examples": examples})


def preprocessing(
  *,
  steps: tuple[str, ...],
  settings: dict[str, dict],
  clip_len: int = 1,
  frame_interval: int = 1,
  num_clips: int = 1,
  frames_per_view: int = 0,
  sampler: str = "uniform",
  mean: tuple[float, ...] = MEAN,
  std: tuple[float, ...] = STD,
  average: str = "prob",
  modality: str = "rgb",
  twice_sample: bool = False,
  target_fps: float = 0.0,
) -> ml_collections.ConfigDict:
  """What jaction.clips.Preprocessing reads; `frames_per_view` is clip_len unless given, target_fps 0 the own rate."""
  return ml_collections.ConfigDict(
    {
      "sampler": sampler,
      "clip_len": clip_len,
      "frame_interval": frame_interval,
      "num_clips": num_clips,
      "frames_per_view": frames_per_view or clip_len,
      "steps": steps,
      "settings": settings,
      "mean": mean,
      "std": std,
      "average": average,
      "twice_sample": twice_sample,
      "target_fps": target_fps,
      "out_of_bound": "loop",
      "modality": modality,
    }
  )


def base() -> ml_collections.ConfigDict:
  """Every key, with what most experiments take."""
  c = ml_collections.ConfigDict()
  c.task = "recognition"  # see jaction.train.experiment.TASKS
  c.seed = 0  # of the parameters, the order, the draws and the dropout
  c.batch_size = 16  # clips in a step, over all devices
  c.mesh = ml_collections.ConfigDict({"model": 1})  # devices over which parameters and optimizer state are split
  c.accumulate = 1  # parts of a step's batch that go through the network one after another; batch norm sees each alone
  c.multigrid = ml_collections.ConfigDict(
    {"long": False, "short": False}
  )  # arXiv:1912.00998: smaller clips, more of them
  c.multigrid.divisor = 32  # of the smaller sides
  c.duration = duration()
  c.model = ml_collections.ConfigDict()
  c.model.name = ""  # see jaction.list_models()
  c.model.num_classes = 400
  c.model.fields = ml_collections.ConfigDict()  # fields of the network by name, such as dropout
  c.init = ml_collections.ConfigDict()
  c.init.folder = ""  # a model folder to start from
  c.init.reinit = ()  # beginnings of paths, such as "params/head", that it does not fill
  c.init.inflate = ""  # centred or averaged: its kernels of one frame become ones over time (jaction.models.inflation)
  c.data = ml_collections.ConfigDict()
  c.data.root = ""  # the set's folder: lists and label file are in it, paths in lists are under it
  c.data.train = "train.txt"  # a list
  c.data.balance = 1.0  # a class is drawn in proportion to its size to this power; 1: every video once an epoch
  c.data.weights = ""  # a file of one number a line: each video of the list is drawn in proportion to its own
  c.data.share = 1  # of every sum of shares, videos of `train`; the others are of the sets in `mix`
  c.data.repeats = 1  # draws of each video in a batch, which it divides; an epoch is each video so many times
  c.data.mix = ml_collections.ConfigDict()  # by name, sets that are trained on too: recipes.also
  c.data.val = "val.txt"  # may be "": then nothing is evaluated, and the last step counts as the best
  c.data.format = "auto"  # of the lists: see jaction.records.READERS
  c.data.template = ""  # names of the images in folders of frames; "": img_{:05d}.jpg, of flow {}_{:05d}.jpg
  c.data.labels = ""  # the classes' names, one a line
  c.data.multi_label = False  # several classes a video: labels become rows of 0 and 1, [K]
  c.data.features = "features"  # of localization: the folder of the videos' features, under the root
  c.data.threads = 2  # that decode and resize
  c.data.processes = 0  # that decode and resize in place of the threads; 0: none
  c.data.recycle = 0  # videos after which a process makes place for a new one; 0: never
  c.data.timeout = 300.0  # seconds for a video, after which it counts as unreadable; 0: any
  c.data.on_error = "raise"  # a file that cannot be read: raise, substitute (another of the epoch), skip (the next one)
  c.data.max_errors = 0.01  # such files in an epoch, beyond which the run stops: below 1 a share of it, else a number
  c.data.prefetch = 4  # batches
  c.data.cache_mb = 0  # of decoded, resized videos kept in memory
  c.detection = ml_collections.ConfigDict()  # of task detection; data.train and data.val are csv files in AVA's form
  c.detection.media = ""  # the folder of the videos, or of the folders of frames, under data.root
  c.detection.start, c.detection.fps = 0.0, 30.0  # the second that first frames stand for; the rate of frame folders
  c.detection.train_exclude, c.detection.val_exclude = "", ""  # csv of key frames that are left out
  c.detection.train_proposals, c.detection.val_proposals = "", ""  # boxes of a detector; "": the annotated ones
  c.detection.min_score = 0.9  # proposals below it are left out
  c.detection.overlap = 0.9  # with an annotated box, from which on a proposal is trained on too
  c.detection.classes = ()  # the only actions to learn, by their numbers; they become 1, 2, ...
  c.detection.multi_label = True  # sigmoids; False: softmax
  c.detection.focal_gamma, c.detection.focal_alpha = 0.0, 1.0
  c.detection.threshold = 0.002  # probabilities at or below it are no detections
  c.detection.bank, c.detection.bank_seconds = "", 60  # of lfb_ names: the feature bank, and how long its window is
  c.localization = ml_collections.ConfigDict()
  c.localization.pem_balanced = False  # PEM's loss weighs high, middling and low proposals; False: the plain mean
  c.localization.pem_low_temporal_iou_threshold = 0.2  # with it, the overlap up to which a proposal is low
  c.localization.media, c.localization.val_media = "", ""  # of task ssn, as all below: videos' folders, under the root
  c.localization.normalized = False  # times in proposal files are shares of the video, not frames
  c.localization.test_interval, c.localization.piece = 6, 16  # frames a test looks at; of these go through at once
  c.localization.top_k, c.localization.nms_threshold = 2000, 0.2  # pairs of proposal and class; of the suppression
  c.preprocessing = ml_collections.ConfigDict()
  c.preprocessing.train = ml_collections.ConfigDict()
  c.preprocessing.test = ml_collections.ConfigDict()  # evaluation while training; goes into the model folder
  c.preprocessing.published = ml_collections.ConfigDict()  # how the published figure was measured; may be empty
  c.loss = ml_collections.ConfigDict({"name": "cross_entropy", "label_smoothing": 0.0})  # class_balanced_focal
  c.loss.weight = 1.0  # times the whole loss
  c.loss.class_weights = ()  # a factor to each class
  c.loss.beta, c.loss.gamma = 0.9999, 2.0  # of class_balanced_focal, which counts the classes; beta 0: plain focal loss
  c.loss.categories = ()  # of hvu and of its metrics: (name, how many classes, weight), in the order of the classes
  c.blending = ml_collections.ConfigDict({"name": "", "alpha": 0.2})  # mixup, cutmix; "": none
  c.blending.probability = 1.0  # of a batch (with accumulate: of each part) being blended
  c.optimizer = ml_collections.ConfigDict()
  c.optimizer.name = "sgd"  # sgd, adam (decay added to the gradient), adamw (to the direction), lars
  c.optimizer.momentum, c.optimizer.nesterov = 0.9, False
  c.optimizer.b1, c.optimizer.b2, c.optimizer.eps = 0.9, 0.999, 1e-8
  c.optimizer.weight_decay = 1e-4
  c.optimizer.clip_norm = 0.0  # greatest global norm of the gradient; 0: any
  c.optimizer.groups = ()  # (pattern of a path, times the learning rate, times the decay), the first match counts
  c.optimizer.no_decay = ()  # patterns of paths (* and ?, or "re:" and a regular expression) that do not decay
  c.optimizer.layer_decay = 1.0  # the rate of a stage of the backbone is this times that of the next; 1: the same
  c.optimizer.trust = 0.001  # of lars
  c.optimizer.ema = 0.0  # decay of a moving average of the parameters, evaluated too (ema_top1, ...); 0: none
  c.schedule = ml_collections.ConfigDict()
  c.schedule.name = "cosine"  # constant, cosine, tin_cosine, linear, exponential, step: jaction.train.schedules
  c.schedule.lr, c.schedule.final_lr = 0.1, 0.0
  c.schedule.reference_batch = 0  # the batch size that lr is for: it is scaled in proportion; 0: as written
  c.schedule.milestones, c.schedule.gamma = (), 0.1  # step: epochs at which the rate is multiplied by gamma
  c.schedule.interval = 0.0  # step without milestones: after every so many epochs
  c.schedule.by_epoch = False  # the rate changes only between epochs, as in MMAction2
  c.schedule.warmup, c.schedule.warmup_ratio = duration(), 0.1  # from ratio times the rate
  c.schedule.warmup_kind = "linear"  # linear, constant, exponential
  c.divergence = ml_collections.ConfigDict()
  c.divergence.action = "stop"  # at a loss that is not finite; rollback: to the last checkpoint, without that batch
  c.divergence.loss = 0.0  # above which a loss counts as such too; 0: any is allowed
  c.divergence.limit = 3  # rollbacks of a run, beyond which it stops
  c.eval = ml_collections.ConfigDict()
  c.eval.every = duration()  # also at the end
  c.eval.batch_size = 16
  c.eval.max_views = 0  # that go through the network at once; 0: all
  c.eval.metric = (
    "top1"  # which step is the best: top1, top5, mean_class_accuracy, ema_top1, ...; data.multi_label has others
  )
  c.eval.precise_norm = 0  # batches of training over which the norms' statistics are taken anew before it; 0: none
  c.checkpoint = ml_collections.ConfigDict()
  c.checkpoint.every = duration()  # also at each evaluation and at the end
  c.checkpoint.minutes = 0.0  # also after every so many; 0: not
  c.checkpoint.keep = 2  # the latest ones; the best is kept besides
  c.log = ml_collections.ConfigDict()
  c.log.every_steps = 50  # between rows of metrics.jsonl
  c.log.seconds = 10.0  # between lines where there is no terminal for a bar
  c.log.watchdog = 300.0  # seconds without any progress, after which it is said what stands still; 0: never
  c.log.progress, c.log.tensorboard, c.log.curves = True, True, True  # curves.png, and confusion.png of evaluations
  c.log.wandb = ""  # a Weights & Biases project that the numbers go to, too; "": none
  c.log.profile = ()  # first and last of the steps that jax.profiler traces, into profile/; (): none
  return c.lock()
