"""Chinese words of reports: text → what stands in its place; {names} are filled in."""

from __future__ import annotations

from sar_data.sealed.leakage import UNSEEN
from sar_data.split.cost import EQUAL, LOST, OFF

CHINESE = {
    "Skip to the content": "跳到正文",
    "build report": "构建报告",
    "Report of a sealed build": "密封数据构建的报告",
    "Contents": "目录",
    "In short": "概要",
    "The data": "数据",
    "How it was made": "构建过程",
    "Splits": "划分",
    "Leakage": "泄漏",
    "Map": "地图",
    "Radiometry": "辐射特性",
    "Strata and shift": "分层与偏移",
    "Samples": "样本",
    "Left out": "未收入的内容",
    "How to use it": "使用方法",
    "train": "训练集",
    "val": "验证集",
    "test": "测试集",
    "test – train": "测试集–训练集",
    "val – train": "验证集–训练集",
    "test – val": "测试集–验证集",
    # In short
    "What": "内容",
    "Stored": "存储",
    "From where": "来源",
    "How split": "划分方式",
    "How leaky": "泄漏程度",
    "How normalized": "归一化",
    "How many": "数量",
    "{n} samples in the splits": "各划分共 {n} 个样本",
    "{n} left out": "未使用 {n} 个",
    "the publisher has {n} records": "发布者共有 {n} 条记录",
    "made from the build {name}": "由构建 {name} 转换而来",
    "policy {policy}, by published lists": "策略 {policy}，按公布的列表",
    "unused": "未使用",
    "policy.official": "按发布者对每个样本的划分",
    "policy.official-val": "按发布者对每个样本的划分，验证集取自其训练集",
    "policy.folders": "按每个样本所在的文件夹",
    "policy.random": "逐样本随机分配，不考虑相邻关系",
    "policy.stratified": "随机分配，各类别比例相等",
    "policy.group": "同一单元（如同次获取或同一地点）的样本归入同一划分",
    "policy.blocks": "地面方块整体归入一个划分，划分之间的缓冲带不使用",
    "published at {address}": "公布于 {address}",
    "of {of} test samples: {shares}": "{of} 个测试样本中：{shares}",
    "one of train": "某个训练样本",
    "1": "z 分数",
    "minmax": "取值范围的比例",
    "one": "某个样本",
    "the stored values are not normalized; loaders do it by mean ± deviation of train alone: {figures}": (
        "存储的值未归一化；加载器仅用训练集的均值 ± 标准差归一化：{figures}"
    ),
    "the stored values are normalized already, by {method}; train alone now has mean ± deviation {figures}": (
        "存储的值已归一化，方法为 {method}；现在训练集的均值 ± 标准差为 {figures}"
    ),
    "method.zscore": "数值减去训练集均值，再除以训练集标准差",
    "more is not known: {reasons}": "其余未知：{reasons}",
    "policy {policy}": "策略 {policy}",
    "policy {policy}, seed {seed}": "策略 {policy}，随机种子 {seed}",
    "not recorded": "未记录",
    # The data
    "Data set": "数据集",
    "Licence": "许可",
    "Citation": "引用",
    "Evidence": "依据",
    "Image": "图像",
    "Pixel size": "像元大小",
    "Range axis": "距离向",
    "Symmetries": "对称性",
    "Tasks": "任务",
    "Layout": "目录结构",
    "Found": "发现",
    "none": "无",
    "not known": "未知",
    "{n} classes": "{n} 类",
    "one class": "1 类",
    "multiclass": "单标签分类",
    "multilabel": "多标签分类",
    "segmentation": "语义分割",
    "detection": "目标检测",
    "change": "变化检测",
    "the layout was checked on real files": "目录结构已用真实文件核对",
    "the layout was checked on real lists, not on real files": "目录结构已用真实列表核对，未用真实文件核对",
    "the layout is known from documents alone": "目录结构仅由文献得知",
    "as its owner declares it": "由数据所有者声明",
    "Bands. Values are stored in the unit, not normalized unless baked.": (
        "波段。数值按所列单位存储；除非另行写入，未做归一化。"
    ),
    "band": "波段",
    "unit": "单位",
    "calibration": "定标",
    "meaning": "含义",
    "terrain-corrected": "已做地形校正",
    "not terrain-corrected": "未做地形校正",
    # How it was made
    "Container": "容器格式",
    "Stored type": "存储类型",
    "Records here and published": "本构建 / 公布的记录数",
    "Content digest": "内容摘要",
    "Recipe digest": "配方摘要",
    "SHA256SUMS": "SHA256SUMS",
    "Source fingerprint": "来源指纹",
    "Parent": "父构建",
    "recipe": "配方",
    "Imported from": "导入自",
    "Applied": "已施加",
    "Images that another reader read": "由备用读取器读取的图像",
    "Records narrowed to the declared type": "收窄到声明类型的记录",
    "Published files": "公布的文件",
    "no published checksum": "无公布的校验和",
    "Hashes of lists and imported files": "列表与导入文件的散列值",
    "index.parquet has the path, the size and the hash of every source file, record by record.": (
        "index.parquet 逐条记录了每个源文件的路径、大小和散列值。"
    ),
    "Recipe": "配方",
    # Splits
    "split": "划分",
    "samples": "样本数",
    "share": "占比",
    "Policy": "策略",
    "Seed": "随机种子",
    "Parameters": "参数",
    "Cost": "代价",
    LOST: "{of} 个样本中有 {n} 个（{share}）位于缓冲带",
    OFF: "类别比例最多相差 {points} 个百分点（{split} 中的 {label}）",
    EQUAL: "各划分的类别比例相等",
    "Unused": "未使用",
    "Classes, as shares of samples": "各类别占样本的比例",
    "Classes, as shares of pixels": "各类别占像素的比例",
    "The three bars of a class are train, val and test, in this order.": "每类的三条依次为训练集、验证集和测试集。",
    "{n} more classes are not shown.": "另有 {n} 类未显示。",
    # Leakage
    (
        "The share of samples of one split that have something in common with a sample of another one. Test against "
        "train is the pair that a score depends on."
    ): "某一划分中与另一划分的样本有共同之处的样本所占比例。测试集对训练集这一对决定了得分是否可信。",
    "samples that …": "样本……",
    "leak.touching": "与{other}在地面上相接",
    "leak.identical": "与{other}的地面范围完全相同",
    "leak.within_1": "距{other}不超过 1 个图幅",
    "leak.within_2": "距{other}不超过 2 个图幅",
    "leak.within_4": "距{other}不超过 4 个图幅",
    "leak.within_8": "距{other}不超过 8 个图幅",
    "leak.group": "与{other}同组",
    "leak.place": "与{other}同地点",
    "leak.acquisition": "与{other}同一时刻获取",
    "leak.pass": "与{other}在 15 分钟内获取",
    "leak.key": "与{other}同名",
    "leak.duplicate": "与{other}像素完全相同",
    "leak.near_duplicate": "与{other}外观相似",
    "pair.duplicate": "像素完全相同",
    "pair.near_duplicate": "外观相似",
    "pair.identical": "地面范围完全相同",
    "pair.touching": "在地面上相接",
    UNSEEN: (
        "未检查：没有共同名称、地点或足迹的样本是否拍摄了同一地面；各划分共有的目标、传感器和季节；"
        "样本记录没有说明的一切。0 % 并不能证明独立。"
    ),
    (
        "An extent is the side of a usual sample. Group and place are what the records say, such as the acquisition, "
        "and the city or the tile of the map."
    ): "图幅指普通样本的边长。组与地点以样本记录为准，例如同次获取，以及城市或地图分幅。",
    "Not known:": "未知：",
    "the samples have no footprint": "样本没有足迹",
    "the samples have no group": "样本没有分组",
    "the samples have no place": "样本没有地点",
    "the samples have no time": "样本没有时间",
    "there are no samples": "没有样本",
    "there is nothing to compare with": "没有可比较的样本",
    "Worst pairs": "最严重的样本对",
    "Left a sample of {judged}, right one of {other} that it leaks into, the worst first.": (
        "左为{judged}样本，右为与之泄漏的{other}样本，最严重的在前。"
    ),
    "Looked for among the first {n} of {of} samples, a fair draw.": "在 {of} 个样本的前 {n} 个（公平抽样）中查找。",
    "No pair was found.": "未发现这样的样本对。",
    # Map
    "Map of the samples by split": "各划分样本的地图",
    "Where on the earth the map is": "地图在地球上的位置",
    (
        "Footprints of {n} of {of} samples in degrees of longitude and latitude, small ones enlarged: the marks of "
        "train most and those of test least, so that both show where they fall together."
    ): "{of} 个样本中 {n} 个的足迹，坐标为经纬度；小足迹已放大，训练集放大最多，测试集最少，使重叠处都可见。",
    "Land: Natural Earth 1:110m, public domain.": "陆地轮廓：Natural Earth 1:110m，公有领域。",
    (
        "Where the samples lie on the earth is not known: their records have no footprints in a known reference system."
    ): "样本在地球上的位置未知：其记录没有已知参考系中的足迹。",
    # Radiometry
    "The mean of dB values is not the dB value of the mean power.": "dB 值的均值并不等于平均功率的 dB 值。",
    "Histogram of {band} in {unit}": "{band} 的直方图（{unit}）",
    "power": "功率",
    "amplitude": "幅度",
    "radians": "弧度",
    "fraction of a range": "取值范围的比例",
    "z-score": "z 分数",
    (
        "Percent of a split's pixels in each bin. Lines: mean of train, dashed one deviation to both sides."
    ): "各区间像素占该划分的百分比。竖线：训练集均值；虚线：两侧各一个标准差。",
    "From the quantiles of {n} of {of} images, approximate.": "由 {of} 幅图像中 {n} 幅的分位数近似得出。",
    "figure.p5": "5 %",
    "figure.p50": "中位数",
    "figure.p95": "95 %",
    "figure.centre": "均值",
    "figure.std": "标准差",
    "figure.min": "最小",
    "figure.max": "最大",
    "{n} more bands are not shown.": "另有 {n} 个波段未显示。",
    "Masked pixels": "掩膜像素",
    "reason": "原因",
    "pixels": "像素数",
    "No pixel is masked.": "没有像素被掩膜。",
    "masked.nodata": "来源声明为无数据",
    "masked.nan": "NaN",
    "masked.inf": "无穷大",
    "Suspect pixels": "可疑像素",
    "Blank samples": "空白样本",
    "Clipped pixels": "截断像素",
    "Without a value in the unit": "在该单位下无值",
    # Strata
    (
        "How far the pixels of a part are from those of the first part of a table: σ is the difference of the means in "
        "its deviations, KS the largest difference of the shares below any value, PSI the stability index over its "
        "tenths."
    ): (
        "各部分的像素与表中第一部分相差多少：σ 为以第一部分标准差计的均值之差，KS 为任意值以下占比的最大差，"
        "PSI 为按其十分位计算的群体稳定性指数。"
    ),
    "From {n} of {of} images.": "取自 {of} 幅图像中的 {n} 幅。",
    "By {what}": "按{what}",
    "by.split": "划分",
    "by.class": "类别",
    "by.pass": "轨道方向",
    "by.orbit": "相对轨道号",
    "by.season": "季节",
    "by.platform": "平台",
    "part, images": "部分，图像数",
    "{n} more parts are not shown.": "另有 {n} 个部分未显示。",
    "Nothing is known in which the images differ, or the build has no figures of its images.": (
        "没有可据以区分图像的信息，或该构建没有逐图像的统计。"
    ),
    # Samples
    "All pictures have one stretch: {note}. Masked pixels are grey.": "所有图片使用同一拉伸：{note}。掩膜像素为灰色。",
    "mask of {key}": "{key} 的掩膜",
    "The oddest": "最异常的样本",
    "A draw": "抽样",
    "odd.duplicates": "重复：存储像素逐位相同的样本，摘要相同",
    "odd.fewest looks": "ENL 最低：整幅图像功率的均值² / 方差；对比强烈或有亮目标",
    "odd.most looks": "ENL 最高：平坦或经过平滑的图像",
    "odd.most masked": "掩膜像素最多",
    "odd.brightest": "最亮：均值最大",
    # Left out
    "Quarantined records": "隔离的记录",
    "{n} records were bad and are not in the build.": "{n} 条记录有错误，未收入构建。",
    "file": "文件",
    "None.": "无。",
    "Dropped objects": "舍弃的目标",
    # Use
    "Images are normalized with the figures of the build's own train split.": "图像用该构建自身训练集的统计量归一化。",
    "Images come as they are stored: normalized already.": "图像按存储的值给出：已经归一化。",
    "`sar-data verify {name}` checks the build, with `{full}` every byte.": (
        "`sar-data verify {name}` 检查构建，加 `{full}` 则逐字节检查。"
    ),
    (
        "Measured with `sar-data bench`: {rate} samples/s, {ratio} of a memory map in the same run, {first} s to the "
        "first batch."
    ): "用 `sar-data bench` 测得：每秒 {rate} 个样本，为同次内存映射的 {ratio} 倍，首批耗时 {first} 秒。",
    # Runs
    "report of runs": "训练运行报告",
    "Report of training runs": "训练运行的报告",
    "{n} runs": "{n} 次运行",
    "Figures": "指标",
    "Paired comparison": "配对比较",
    "What was asked for": "请求的设置",
    "In brackets an interval of 95 %.": "方括号内为 95 % 置信区间。",
    "Differences to {run} on the samples of {split} that both were judged on.": (
        "在两者都评估过的{split}样本上与 {run} 的差异。"
    ),
    "† chosen on test (as published): biased upwards": "† 在测试集上选择（与发表一致）：偏高",
    "Curves": "曲线",
    "Curve of {what} by epoch": "{what}随训练轮次的曲线",
    "loss": "损失",
    "score": "得分",
    "learning rate": "学习率",
    "epoch": "轮次",
    "Confusion, {split}": "混淆矩阵，{split}",
    "true": "真实",
    "recall": "召回率",
    "Rows are true classes, columns predicted ones by their numbers; the darker, the larger the share of the row.": (
        "行为真实类别，列为以编号表示的预测类别；颜色越深，占该行的比例越大。"
    ),
    "Calibration, {split}": "校准，{split}",
    "Share of right answers by confidence": "各置信度下的正确率",
    "confidence": "置信度",
    "Share of right answers by confidence; on the dashed line both agree.": ("各置信度下的正确率；虚线上两者一致。"),
    "true, and found": "真实目标，已检出",
    "found (score ≥ 0.3, overlap ≥ 0.5)": "检出（得分 ≥ 0.3，重叠 ≥ 0.5）",
    "false": "误检",
    "true, and missed": "真实目标，漏检",
    "The worst answers": "最差的回答",
    "The best answers": "最好的回答",
    (
        "The number is the probability of the true class; of labels one less their mean error, of masks the share of "
        "right pixels, of boxes the F1 of those with a score of 0.3 or more, at an overlap of 0.5."
    ): (
        "数字为真实类别的概率；多标签时为一减平均误差，掩膜时为正确像素的比例，"
        "检测框时为得分不低于 0.3、重叠阈值 0.5 时的 F1。"
    ),
    "another build lies where the run's was": "原构建的位置上现在是另一个构建",
    "the build of the run is not there any more": "该运行所用的构建已不存在",
    "Predictions were not kept.": "未保存预测结果。",
    "What differs": "不同之处",
    "option": "选项",
    "Made by sar-data. This page needs no network and runs no script.": (
        "由 sar-data 生成。本页无需网络，也不运行脚本。"
    ),
    "Made by sar-data from build {digest}. This page needs no network and runs no script.": (
        "由 sar-data 从构建 {digest} 生成。本页无需网络，也不运行脚本。"
    ),
}
