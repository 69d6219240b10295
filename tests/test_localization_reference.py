"""Every file of golden/localization, and the localization files of golden/metrics, case by case."""

import functools
import json
import os
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaction import losses_localization as losses
from jaction.clips import boundaries
from jaction.clips import ssn as sampling
from jaction.errors import InputError
from jaction.metrics import detection
from jaction.metrics.proposals import average_recall
from jaction.models import bmn, ssn
from jaction.predict import proposals, structured
from jaction.records.activitynet import AnnotatedVideo
from jaction.records.ssn import read_proposals
from jaction.segments import iop, iou, nms, pairwise_iou, regress, soft_nms

SHARED = pathlib.Path(os.environ.get("JACTION_SHARED", pathlib.Path(__file__).parent.parent.parent / "shared"))

pytestmark = pytest.mark.reference
GOLDEN = SHARED / "golden"


@functools.cache
def named(file):
  """{case: (params, inputs, outputs)}"""
  if not (GOLDEN / f"{file}.npz").exists():
    return {}
  out = {name: (entry["params"], {}, {}) for name, entry in json.loads((GOLDEN / f"{file}.json").read_text()).items()}
  with np.load(GOLDEN / f"{file}.npz") as arrays:
    for key in arrays.files:
      case, way, name = key.split("/")
      out[case][1 if way == "in" else 2][name] = arrays[key]
  return out


def cases(file, *names):
  found = [pytest.param(*case, id=name) for name, case in named(file).items() if case[0]["fn"] in names]
  reason = f"{file} is not in {GOLDEN}"
  return pytest.mark.parametrize(
    "params, given, wanted", found or [pytest.param({}, {}, {}, marks=pytest.mark.skip(reason))]
  )


@functools.cache
def rows(file):
  path = GOLDEN / f"{file}.json"
  return json.loads(path.read_text()) if path.exists() else []


def each(file):
  found = [pytest.param(row, id=row["name"]) for row in rows(file)]
  return pytest.mark.parametrize("row", found or [pytest.param({}, marks=pytest.mark.skip(f"{file} is not there"))])


def near(found, wanted, atol, rtol=0.0):
  np.testing.assert_allclose(np.asarray(found), np.asarray(wanted), rtol=rtol, atol=atol)


def close(found, wanted):
  found, wanted = np.asarray(found, np.float64), np.asarray(wanted, np.float64)
  assert found.size == wanted.size
  near(found.reshape(wanted.shape), wanted, 1e-6, 1e-5)


# nms


@cases("localization/nms", "soft_nms")
def test_soft_nms(params, given, wanted):
  keys = ("alpha", "low_threshold", "high_threshold", "top_k")
  near(soft_nms(given["proposals"], **{key: params[key] for key in keys}), wanted["kept"], 1e-9)


def suppression(params, prefix=""):
  return {key: params[prefix + key] for key in ("alpha", "low_threshold", "high_threshold")}


def covered(params):
  video = params["video_info"]
  interval = params["feature_extraction_interval"]
  return proposals.covered_seconds(video["duration_frame"], video["duration_second"], interval)


@cases("localization/nms", "post_processing")
def test_post_processing(params, given, wanted):
  found = proposals.in_seconds(given["proposals"], covered(params), top_k=params["top_k"], suppress=suppression(params))
  near(found, np.column_stack([wanted["segment"], wanted["score"]]), 1e-9)


@cases("localization/nms", "perform_regression")
def test_regression(params, given, wanted):
  near(regress(given["detections"]), wanted["out"], 1e-9)


@cases("localization/nms", "temporal_nms")
def test_nms(params, given, wanted):
  near(nms(given["detections"], params["threshold"]), wanted["out"], 1e-9)


@cases("localization/nms", "temporal_iou / temporal_iop")
def test_overlap_of_one_segment(params, given, wanted):
  pair = *given["segment"], *given["targets"].T
  near(iou(*pair), wanted["iou"], 1e-9)
  near(iop(*pair), wanted["iop"], 1e-9)


# bsn_proposals


def table(text):
  return np.array([line.split(",") for line in text.strip().split("\n")[1:]], np.float32)


@pytest.mark.parametrize("case", list(named("localization/bsn_proposals")) or [None])
def test_bsn_candidates_and_features(case):
  if case is None:
    pytest.skip("bsn_proposals is not there")
  params, _, wanted = named("localization/bsn_proposals")[case]
  for info in params["video_infos"]:
    name = info["video_name"]
    annotations = [one["segment"] for one in info["annotations"]]
    seconds = AnnotatedVideo(name, info["duration_second"], (), None, info["duration_frame"], info["feature_frame"])
    tem = table(params["tem_csv"][name])
    found = proposals.candidates(
      tem[:, 1], tem[:, 2], np.array(annotations) / seconds.feature_seconds, peak_threshold=params["peak_threshold"]
    )
    assert len(tem) == params["temporal_scale"]
    near(found, wanted[f"candidates_{name}"], 1e-5)
    given = table(params["proposals_csv"][name])[: params["top_k"]]
    near(proposals.boundary_features(given, tem[:, 0]), wanted[f"bsp_{name}"], 1e-5)


# bmn


def geometry(params):
  return params["temporal_dim"], params["num_samples"], params["num_samples_per_bin"], params["boundary_ratio"]


@cases("localization/bmn", "BMN constants")
def test_bmn_geometry(params, given, wanted):
  size = params["temporal_dim"]
  near(bmn.sample_mask(*geometry(params)), wanted["sample_mask"], 1e-7)
  near(losses.valid_cells(size), wanted["bm_mask"], 0)
  own = bmn.matching(*geometry(params)).cell
  assert np.array_equal(own, np.flatnonzero(wanted["bm_mask"].ravel()))
  d, s = np.divmod(np.arange(size**2), size)
  near(np.column_stack([s / size, (s + d + 1) / size]), wanted["match_map"], 1e-9)
  near((np.arange(size) - 0.5) / size, wanted["anchors_tmins"], 1e-9)
  near((np.arange(size) + 1.5) / size, wanted["anchors_tmaxs"], 1e-9)


@cases("localization/bmn", "boundary matching layer")
def test_bmn_matching_of_each_sample(params, given, wanted):
  x = given["x"].transpose(0, 2, 1)  # [B, T, C]
  size, samples = params["temporal_dim"], params["num_samples"]
  for n in range(samples):  # with a kernel that keeps one sample
    y = jnp.zeros((*x.shape[:2], samples, x.shape[2])).at[:, :, n].set(x)
    found = bmn.match(y, geometry(params))
    assert found.shape == (len(x), size, size, x.shape[2])
    near(found.transpose(0, 3, 1, 2), wanted["out"][:, :, n], 1e-6)


@cases("localization/bmn", "BMN.generate_labels")
def test_bmn_labels(params, given, wanted):
  for i in range(len(given)):
    found = boundaries.bmn_targets(given[f"gt{i}"], params["temporal_dim"])
    near(found["overlap"], wanted["confidence"][i], 1e-6)
    near(found["start"], wanted["start"][i], 1e-6)
    near(found["end"], wanted["end"][i], 1e-6)


@cases("localization/bmn", "BMNLoss")
def test_bmn_loss_and_gradients(params, given, wanted):
  batch = {"start": given["gt_start"], "end": given["gt_end"], "overlap": given["gt_iou_map"]}

  def of(pred_bm, start, end):
    out = {"confidence": pred_bm.transpose(0, 2, 3, 1), "start": start, "end": end}
    found = losses.bmn(out, batch, (given["u_mid"], given["u_low"]), weights=tuple(params["weights"]))
    return found["loss"].mean(), found

  arguments = tuple(jnp.asarray(given[key]) for key in ("pred_bm", "pred_start", "pred_end"))
  gradients, found = jax.grad(of, argnums=(0, 1, 2), has_aux=True)(*arguments)
  for name, key in {"loss": "loss", "tem": "tem_loss", "pem_reg": "pem_reg_loss", "pem_cls": "pem_cls_loss"}.items():
    close(found[name].mean(), wanted[key])
  for gradient, key in zip(gradients, ("grad_bm", "grad_start", "grad_end"), strict=True):
    close(gradient, wanted[key])


@cases("localization/bmn", "BMNLoss.pem_reg_loss")
def test_bmn_regression_loss_where_a_kind_is_missing(params, given, wanted):
  draws = given["u_mid"], given["u_low"]
  found = losses.pem_regression(given["pred"], given["gt_iou_map"] * given["mask"], given["mask"], draws).mean()
  if np.isfinite(wanted["loss"]):
    close(found, wanted["loss"])
  else:  # guarded: docs/differences.md
    assert found == 0


@cases("localization/bmn", "BMN.forward_test")
def test_bmn_decoding(params, given, wanted):
  decoded = proposals.decode_bmn(given["confidence_map"][0].transpose(1, 2, 0), given["start"][0], given["end"][0])
  found = proposals.in_seconds(
    decoded, covered(params), top_k=params["post_process_top_k"], suppress=suppression(params, "soft_nms_")
  )
  near(found, np.column_stack([wanted["segment"], wanted["score"]]), 1e-9)


# bsn


@cases("localization/bsn", "TEM.generate_labels")
def test_tem_labels(params, given, wanted):
  for i in range(len(given)):
    found = boundaries.tem_targets(given[f"gt{i}"], params["temporal_dim"], boundary_ratio=params["boundary_ratio"])
    for name in wanted:
      near(found[name], wanted[name][i], 1e-6)


@cases("localization/bsn", "TEM.forward_train")
def test_tem_loss(params, given, wanted):
  out = dict(zip(("actionness", "start", "end"), jnp.asarray(given["output"]).transpose(1, 0, 2), strict=True))
  batch = {name: given[name] for name in ("action", "start", "end")}
  found = losses.tem(out, batch, threshold=params["match_threshold"], action=params["action_loss_weight"])
  for name, value in found.items():
    close(value.mean(), wanted[f"loss_{name}"])


@cases("localization/bsn", "PEM.forward_train")
def test_pem_loss_and_gradient(params, given, wanted):
  def of(output):
    return losses.pem(output.T, given["reference"][None]).mean()

  loss, gradient = jax.value_and_grad(of)(jnp.asarray(given["output"]))
  close(loss, wanted["loss"])
  close(gradient, wanted["grad"])


@cases("localization/bsn", "PEM.forward_test")
def test_pem_decoding(params, given, wanted):
  score = given["output"][:, 0] * given["tmin_score"] * given["tmax_score"]
  rows = np.column_stack([given["tmin"], given["tmax"], score])
  suppress = suppression(params, "soft_nms_")
  found = proposals.in_seconds(rows, covered(params), top_k=params["post_process_top_k"], suppress=suppress)
  near(found, np.column_stack([wanted["segment"], wanted["score"]]), 1e-5)


@cases("localization/bsn", "BinaryLogisticRegressionLoss")
def test_boundary_loss(params, given, wanted):
  def of(scores):
    return losses.boundary(scores[None], given["label"][None], threshold=params["threshold"]).mean()

  loss, gradient = jax.value_and_grad(of)(jnp.asarray(given["score"]))
  close(loss, wanted["loss"])
  close(gradient, wanted["grad"])


@cases("localization/bsn", "GenerateLocalizationLabels")
def test_segments_in_unit_time(params, given, wanted):
  video = params["video"]
  seconds = video["feature_frame"] / video["duration_frame"] * video["duration_second"]
  found = boundaries.unit_segments([one["segment"] for one in video["annotations"]], seconds)
  near(found, wanted["gt_bbox"], 1e-9)


# ssn


@cases("localization/ssn", "OHEMHingeLoss")
def test_ohem_hinge(params, given, wanted):
  size = params["group_size"]

  def of(scores):
    groups = scores.reshape(-1, size, scores.shape[1])
    keep = int(size * params["ohem_ratio"])
    return losses.hinge(groups, given["labels"].reshape(-1, size), sign=params["is_positive"], keep=keep).sum()

  loss, gradient = jax.value_and_grad(of)(jnp.asarray(given["pred"]))
  close(loss, wanted["loss"])
  close(gradient, wanted["grad"])


@cases("localization/ssn", "SSNLoss")
def test_ssn_loss_and_gradients(params, given, wanted):
  settings = params["train_cfg"]["ssn"]
  sampler, weights = settings["sampler"], settings["loss_weight"]
  names = ("positive_ratio", "incomplete_ratio", "background_ratio")
  whole = sum(sampler[name] for name in names)
  per_video = tuple(int(sampler["num_per_video"] * sampler[name] / whole) for name in names)
  shape = given["labels"].shape
  batch = {"label": given["labels"], "target": given["bbox_targets"]}

  def of(activity, completeness, regression):
    out = {"activity": activity, "completeness": completeness, "regression": regression}
    out = {name: one.reshape(*shape, *one.shape[1:]) for name, one in out.items()}
    found = losses.ssn(
      out, batch, per_video=per_video, weights=(weights["comp_loss_weight"], weights["reg_loss_weight"])
    )
    return found["loss"].mean(), found

  arguments = tuple(jnp.asarray(given[key]) for key in ("activity", "completeness", "bbox_pred"))
  gradients, found = jax.grad(of, argnums=(0, 1, 2), has_aux=True)(*arguments)
  for name, key in {"activity": "activity", "completeness": "completeness", "regression": "reg"}.items():
    close(found[name].mean(), wanted[f"loss_{key}"])
  for gradient, key in zip(gradients, ("grad_activity", "grad_completeness", "grad_bbox"), strict=True):
    close(gradient, wanted[key])


def stages(params):
  return [tuple(one) if isinstance(one, list) else one for one in params["stpp_stage"]]


@cases("localization/ssn", "STPPTrain")
def test_pyramid_in_training(params, given, wanted):
  segments = params["num_segments_list"]
  x = given["x"].reshape(-1, sum(segments), given["x"].shape[1])
  course, pyramid = ssn.pool_train(x, jnp.asarray(given["scale_factors"]), stages=stages(params), segments=segments)
  close(course, wanted["course"])
  close(pyramid, wanted["stpp"])


@cases("localization/ssn", "STPPTest")
def test_pyramid_in_the_test(params, given, wanted):
  classes, own = params["num_classes"], stages(params)
  parts = len(ssn.parts_of(own))
  x, ticks, scales = jnp.asarray(given["x"]), jnp.asarray(given["ticks"]), jnp.asarray(given["scale_factors"])
  activity, completeness, regression = jnp.split(x, [classes + 1, classes + 1 + parts * classes], axis=1)
  close(ssn.pool_course(activity, ticks), wanted["activity"])
  for scores, name in ((completeness, "completeness"), (regression, "regression")):
    scores = scores.reshape(len(x), parts, -1)
    close(ssn.pool_test(scores, ticks, scales, stages=own), wanted[name])


@cases("localization/ssn", "SSNHead.prepare_test_fc")
def test_the_layers_of_the_test_form(params, given, wanted):
  names = {"activity": "activity_fc", "completeness": "completeness_fc", "regression": "regressor_fc"}
  weights = {k: (jnp.asarray(given[f"{v}_weight"].T), jnp.asarray(given[f"{v}_bias"])) for k, v in names.items()}
  x = np.random.default_rng(0).standard_normal((1, 7, params["in_channels"])).astype(np.float32)
  found = ssn.per_frame(jnp.asarray(x), weights, params["multiplier"])
  flat = np.concatenate([np.asarray(found[name]).reshape(7, -1) for name in names], axis=1)
  near(flat, x[0] @ wanted["weight"].T + wanted["bias"], 1e-5)


def proposal_file(row, folder):
  path = folder / "proposals.txt"
  path.write_text(row["proposal_file"])
  return sampling.annotated(read_proposals(path))


@each("localization/ssn_dataset")
def test_ssn_stages_and_items(row, tmp_path):
  videos = proposal_file(row, tmp_path)
  for video, wanted in zip(videos, row["test_frames"], strict=True):
    times = np.array([(one.start, one.end) for one in video.proposals]) / video.frames
    frames = sampling.test_frames(video.frames, row["test_interval"], row["clip_len"] * row["frame_interval"])
    ticks, scales = sampling.test_stages(times, len(frames), ratio=row["aug_ratio"])
    near(times, wanted["relative_proposal_list"], 1e-6)
    assert np.array_equal(ticks, wanted["proposal_tick_list"])
    near(scales, wanted["scale_factor_list"], 1e-6)
  for one in row["train_stage"]:
    clip = row["clip_len"] * row["frame_interval"]
    _, scales = sampling.stage_scales(one["start"], one["end"], one["num_frames"], ratio=row["aug_ratio"], clip=clip)
    near(scales, (one["starting_scale"], one["ending_scale"]), 1e-9)
    assert np.cumsum(ssn.SSNHead(1).segments).tolist() == one["stage_split"]
  own = [sampling.pools(video) for video in videos]
  whole = sampling.joined(own)
  constants = sampling.normalizers(whole.positive)
  near(constants, row["reg_norm_consts"], 1e-9)
  for pool, video, wanted in zip(own, videos, row["train_items"], strict=True):
    assert video.id == wanted["video_id"]
    found = sampling.sample(pool, whole)
    assert [[v.id, p.start, p.end, p.label, kind] for v, p, kind in found] == wanted["proposals"]
    assert [0 if kind == 2 else p.label for _, p, kind in found] == wanted["proposal_labels"]
    assert [kind for *_, kind in found] == wanted["proposal_type"]
    moves = [(np.array(sampling.targets(v, p)) - constants[0]) / constants[1] * (kind == 0) for v, p, kind in found]
    near(moves, wanted["reg_targets"], 1e-6)
    scales = [sampling.stage_scales(p.start, p.end, v.frames, ratio=row["aug_ratio"])[1] for v, p, _ in found]
    near(scales, wanted["proposal_scale_factor"], 1e-6)


@each("metrics/ssn_thumos")
def test_ssn_pools_and_thumos_map(row, tmp_path):
  videos = proposal_file(row, tmp_path)
  limits, assigner = dict(sampling.THRESHOLDS), row["assigner"]
  for key in ("positive_iou", "incomplete_iou", "background_iou", "background_coverage", "incomplete_overlap"):
    own = key.removesuffix("_iou").removeprefix("background_" * key.endswith("coverage"))
    limits[own.removeprefix("incomplete_" * key.endswith("overlap"))] = assigner[f"{key}_threshold"]
  whole = sampling.joined([sampling.pools(video, limits) for video in videos])
  for kind in sampling.KINDS:
    found = [(v.id, p.label, p.start, p.end) for v, p in getattr(whole, kind)]
    assert found == [(name, *fields[:3]) for name, fields in row[f"{kind}_pool"]]
  for video, wanted in zip(videos, row["parsed"], strict=True):
    for one, fields in zip(video.proposals, wanted["proposals"], strict=True):
      assert (one.label, one.start, one.end) == tuple(fields[:3])
      near(sampling.targets(video, one, limits["positive"]), fields[6], 1e-9)
  near(sampling.normalizers(whole.positive), row["reg_norm_consts"], 1e-9)
  truth = [(i, p.label - 1, p.start / v.frames, p.end / v.frames) for i, v in enumerate(videos) for p in v.instances]
  truth = np.array(truth, np.float64)
  constants = np.array(row["reg_norm_consts"])
  found = []
  for i, result in enumerate(row["results"]):
    classes = row["num_classes"]
    times = np.array(result["relative_proposal_list"], np.float32).reshape(-1, 2)
    activity = np.array(result["activity_scores"], np.float32)
    completeness = np.array(result["completeness_scores"], np.float32)
    moves = np.array(result["bbox_preds"], np.float32).reshape(-1, classes, 2) if row["use_regression"] else None
    by_class = structured.detections(times, activity, completeness, moves, top_k=row["top_k"], threshold=row["nms"])
    found += [(i, label, *one[:3]) for label, each in enumerate(by_class) for one in each]
  found = np.array(found)
  own = detection.Detections(found[:, 0].astype(int), found[:, 1].astype(int), found[:, 2:4], found[:, 4])
  wanted = detection.Truth(truth[:, 0].astype(int), truth[:, 1].astype(int), truth[:, 2:])
  thresholds = [float(name.split("@")[1]) for name in row["expect"]]
  assert len(thresholds) == len(detection.THUMOS) and constants.shape == (2, 2)
  near(detection.thumos_map(wanted, own, row["num_classes"]), list(row["expect"].values()), 1e-6)


# metrics


@cases("metrics/temporal_iou", "pairwise_temporal_iou")
def test_pairwise_iou(params, given, wanted):
  found = pairwise_iou(given["candidate"].reshape(-1, 2), given["target"])
  assert found.dtype == np.float32
  near(found.reshape(wanted["iou"].shape), wanted["iou"], 1e-9)


@each("metrics/ar_at_an")
def test_average_recall(row):
  params = row["params"]
  found = average_recall(
    {name: np.array(segments) for name, segments in row["ground_truth"].items()},
    {name: np.array(segments).reshape(-1, 3) for name, segments in row["proposals"].items()},
    most=params.get("max_avg_proposals"),
    total=row["total_num_proposals"],
    **({"thresholds": params["temporal_iou_thresholds"]} if "temporal_iou_thresholds" in params else {}),
  )
  near(found.recall, row["recall"], 1e-9)
  near(found.average, row["avg_recall"], 1e-9)
  near(found.per_video, row["proposals_per_video"], 1e-9)
  near(found.auc, row["auc"], 1e-9)
  for key in (key for key in row if key.startswith("AR@")):
    near(found.at(int(key[3:])), row[key], 1e-9)


@each("metrics/activitynet_ar_dataset")
def test_average_recall_of_activitynet_files(row):
  truth = {name: np.array([one["segment"] for one in v["annotations"]]) for name, v in row["annotations"].items()}
  given = {
    one["video_name"]: np.array([[*each["segment"], each["score"]] for each in one["proposal_list"]])
    for one in row["results"]
  }
  found = average_recall(truth, given)
  for key, value in row["expect"].items():
    near(found.auc if key == "auc" else found.at(int(key[3:])), value, 1e-9)


@each("metrics/ap_at_tiou")
def test_average_precision_of_one_class(row):
  names = {name: i for i, name in enumerate({**row["ground_truth"], **{one[0]: 0 for one in row["prediction"]}})}
  truth = [(names[name], 0, *segment) for name, segments in row["ground_truth"].items() for segment in segments]
  truth = np.array(truth, np.float64).reshape(-1, 4)
  found = np.array([(names[one[0]], 0, *one[2:]) for one in row["prediction"]], np.float64).reshape(-1, 5)
  ap = detection.average_precision(
    detection.Truth(truth[:, 0].astype(int), truth[:, 1].astype(int), truth[:, 2:]),
    detection.Detections(found[:, 0].astype(int), found[:, 1].astype(int), found[:, 2:4], found[:, 4]),
    1,
    row["thresholds"],
  )
  near(ap[:, 0], row["ap"], 1e-6)


@each("metrics/activitynet_detection")
def test_activitynet_map(row):
  annotations = {
    name[2:]: [(*one["segment"], one["label"]) for one in video["annotations"]]
    for name, video in row["ground_truth"].items()
  }
  results = row["result"]["results"]
  if "error" in row:
    with pytest.raises(InputError, match="no annotation has the class"):
      detection.activitynet_map(annotations, results, row["thresholds"])
    return
  found = detection.activitynet_map(annotations, results, row["thresholds"])
  assert {name: i for i, name in enumerate(found.names)} == row["class_index"]
  near(found.ap, row["ap"], 1e-9)
  near(found.by_threshold, row["mAP"], 1e-9)
  near(found.average, row["average_mAP"], 1e-9)


def test_every_case_of_every_file_is_read_by_a_test():
  known = {
    "nms": {"soft_nms", "post_processing", "perform_regression", "temporal_nms", "temporal_iou / temporal_iop"},
    "bmn": {
      "BMN constants", "boundary matching layer", "BMN.generate_labels", "BMNLoss", "BMNLoss.pem_reg_loss",
      "BMN.forward_test",
    },
    "bsn": {
      "TEM.generate_labels", "TEM.forward_train", "PEM.forward_train", "PEM.forward_test",
      "BinaryLogisticRegressionLoss", "GenerateLocalizationLabels",
    },
    "ssn": {"OHEMHingeLoss", "SSNLoss", "STPPTrain", "STPPTest", "SSNHead.prepare_test_fc"},
  }  # fmt: skip
  for file, functions in known.items():
    assert {params["fn"] for params, _, _ in named(f"localization/{file}").values()} <= functions
